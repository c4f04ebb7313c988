"""Runs the Autobahn Testsuite against drywire and judges every case. Start it by `tests/autobahn/run`.

The suite's fuzzing client tests `drywire serve`, and its fuzzing server tests the examples `mirror_std` and
`mirror_tokio`, which send every message back. Each pass must give a verdict on each of its cases: OK, both for the
behaviour and for the close, or INFORMATIONAL where the suite only informs.
"""

import argparse
import atexit
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import autobahntestsuite.case as suite
from autobahntestsuite.caseset import CaseSet

SET = CaseSet(suite.CaseSetname, suite.CaseBasename, suite.Cases, suite.CaseCategories, suite.CaseSubCategories)
WSTEST = str(Path(sys.executable).parent / "wstest")
AGENT = "drywire"
RUNTIMES = ("std", "tokio")
ROLES = ("server", "client")
VERDICTS = ("OK", "INFORMATIONAL", "NON-STRICT", "UNIMPLEMENTED", "FAILED", "WRONG CODE", "UNCLEAN", "FAILED BY CLIENT")

# What happens here is, in the suite's words, "implementation defined" and "undefined by the spec".
INFORMATIONAL = {"7.1.6", "7.13.1", "7.13.2"}

# Seconds. The suite itself gives a case up to 480; these only end what hangs.
CASE_LIMIT = 600
PART_LIMIT = 3600


def parts(case):
    return tuple(int(part) for part in case.split("."))


def chosen(patterns):
    """The cases that the patterns name, in order. A pattern names a case by its first parts, each a number or `*`."""
    everything = sorted(SET.CasesById, key=parts)
    cases = set()
    for pattern in patterns or ["*"]:
        wanted = pattern.split(".")
        named = [
            case for case in everything
            if len(wanted) <= len(case.split("."))
            and all(want in ("*", part) for want, part in zip(wanted, case.split(".")))
        ]
        if not named:
            sys.exit(f"the suite has no case {pattern}")
        cases.update(named)
    return sorted(cases, key=parts)


def split(cases):
    """Pieces that can run side by side: the compressed messages, of which each set takes minutes, and all the rest."""
    pieces = {}
    for case in cases:
        category, part = parts(case)[:2]
        pieces.setdefault((category, part) if category >= 12 else (), []).append(case)
    return list(pieces.values())


def connects(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class Server:
    """One `drywire serve`; ended by SIGTERM, which must give exit status 0."""

    def __init__(self, binaries, runtime):
        self.process = subprocess.Popen(
            [binaries / "drywire", "serve", "--listen", "127.0.0.1:0", "--runtime", runtime],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        # Should the run break off, it does not stay; after `stop` this does nothing.
        atexit.register(self.process.kill)
        self.url = re.fullmatch(r"listening on http://(.*)\n", self.process.stdout.readline())[1]
        self.log = []
        threading.Thread(target=lambda: self.log.extend(self.process.stderr), daemon=True).start()

    def stop(self):
        """What is wrong with it."""
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return ["the server does not end"]
        panics = [line.strip() for line in self.log if "panicked" in line]
        return panics + ([f"the server ended with {status}"] if status else [])


class Pass:
    """drywire in one role on one runtime."""

    def __init__(self, role, runtime):
        self.role, self.runtime = role, runtime
        self.jobs = []

    def outcome(self):
        """The verdicts of all its pieces, and what went wrong beside them."""
        verdicts, complaints = {}, []
        for job, folder in self.jobs:
            complaints += job.result()
            verdicts |= report(folder)
        return verdicts, complaints


def wstest(mode, specification, folder, *more):
    specification |= {"outdir": "./reports", "exclude-cases": [], "exclude-agent-cases": {}}
    (folder / "specification.json").write_text(json.dumps(specification))
    with (folder / "log.txt").open("w") as log:
        return subprocess.Popen(
            [WSTEST, "-m", mode, "-s", "specification.json", *more], cwd=folder, stdout=log, stderr=subprocess.STDOUT)


def test_server(url, cases, folder):
    """Lets the fuzzing client test a server."""
    server = {"agent": AGENT, "url": f"ws://{url}/ws/echo"}
    process = wstest("fuzzingclient", {"servers": [server], "cases": cases}, folder)
    try:
        process.wait(PART_LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        return ["the fuzzing client does not end"]
    return []


def fuzzing_server(cases, folder):
    """The fuzzing server and its port, which someone else may have taken since it was picked."""
    for _ in range(5):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        # The web port 0 is none.
        specification = {"url": f"ws://127.0.0.1:{port}", "cases": cases}
        process = wstest("fuzzingserver", specification, folder, "--webport", "0")
        while process.poll() is None:
            if connects(port):
                return process, port
            time.sleep(0.05)
    raise RuntimeError(f"the fuzzing server does not start: see {folder}/log.txt")


def test_client(mirror, cases, folder):
    """Lets the fuzzing server test a client, which is started once for each case."""
    process, port = fuzzing_server(cases, folder)
    complaints = []

    def run(target):
        try:
            ended = subprocess.run([mirror, f"ws://127.0.0.1:{port}{target}"], capture_output=True, text=True,
                                   timeout=CASE_LIMIT)
        except subprocess.TimeoutExpired:
            return "does not end"
        # 1 tells of an error, and most cases are made to give one.
        return None if ended.returncode in (0, 1) else f"ended with {ended.returncode}: {ended.stderr.strip()}"

    try:
        for case in cases:
            if complaint := run(f"/runCase?casetuple={case}&agent={AGENT}"):
                complaints.append(f"{case}: the client {complaint}")
        if complaint := run(f"/updateReports?agent={AGENT}"):
            complaints.append(f"the reports: the client {complaint}")
    finally:
        process.terminate()
        process.wait()
    return complaints


def report(folder):
    path = folder / "reports" / "index.json"
    return json.loads(path.read_text()).get(AGENT, {}) if path.exists() else {}


def judge(cases, verdicts):
    """What is wrong with a pass, case by case."""
    complaints = []
    for case in cases:
        if case not in verdicts:
            complaints.append(f"{case}: no verdict")
            continue
        allowed = {"OK", "INFORMATIONAL"} if case in INFORMATIONAL else {"OK"}
        behaviour, close = verdicts[case]["behavior"], verdicts[case]["behaviorClose"]
        if not {behaviour, close} <= allowed:
            complaints.append(f"{case}: {behaviour}, the close {close}")
    complaints += [f"{case}: a verdict that was not asked for" for case in sorted(verdicts.keys() - set(cases))]
    return complaints


def table(cases, verdicts):
    """How often each verdict was given on the behaviour and, behind it, on the close."""
    counts = {}
    for case in cases:
        verdict = verdicts.get(case, {})
        for row in (parts(case)[0], "all"):
            for key in ("behavior", "behaviorClose"):
                counts.setdefault((row, key), Counter())[verdict.get(key, "none")] += 1
    rows = sorted({row for row, _ in counts} - {"all"}) + ["all"]
    known = [verdict for verdict in VERDICTS if any(count[verdict] for count in counts.values())]
    columns = known + sorted({verdict for count in counts.values() for verdict in count} - set(known))
    print("  category  cases  " + "  ".join(f"{column:>13}" for column in columns))
    for row in rows:
        behaviour, close = counts[row, "behavior"], counts[row, "behaviorClose"]
        cells = (f"{behaviour[column]} / {close[column]}" for column in columns)
        print(f"  {row!s:>8}  {sum(behaviour.values()):>5}  " + "  ".join(f"{cell:>13}" for cell in cells))


def arguments():
    parser = argparse.ArgumentParser(prog="tests/autobahn/run")
    parser.add_argument("--binaries", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--reports", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--role", action="append", choices=ROLES, help="what drywire is; both by default")
    parser.add_argument("--runtime", action="append", choices=RUNTIMES, help="what it runs on; both by default")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how much runs side by side")
    parser.add_argument("cases", nargs="*", metavar="CASES", help="such as 7, 12.1 or '13.*.1'; all by default")
    return parser.parse_args()


def main():
    options = arguments()
    cases = chosen(options.cases)
    passes = [Pass(role, runtime) for role in options.role or ROLES for runtime in options.runtime or RUNTIMES]
    servers = {each.runtime: Server(options.binaries, each.runtime) for each in passes if each.role == "server"}
    started = time.monotonic()
    with ThreadPoolExecutor(options.jobs) as pool:
        for piece in split(cases):
            for each in passes:
                folder = options.reports / f"{each.role}-{each.runtime}" / piece[0]
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                if each.role == "server":
                    job = pool.submit(test_server, servers[each.runtime].url, piece, folder)
                else:
                    mirror = options.binaries / "examples" / f"mirror_{each.runtime}"
                    job = pool.submit(test_client, mirror, piece, folder)
                each.jobs.append((job, folder))

    failed = 0
    for each in passes:
        verdicts, complaints = each.outcome()
        if each.role == "server":
            complaints += servers[each.runtime].stop()
        complaints += judge(cases, verdicts)
        failed += len(complaints)
        print(f"drywire as {each.role} on {each.runtime}: behaviour / close")
        table(cases, verdicts)
        for complaint in complaints:
            print(f"  FAIL {complaint}")
    print(f"{len(cases)} cases in {len(passes)} passes, {time.monotonic() - started:.0f} s: {failed} complaints")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
