"""TLS with real peers: openssl, curl, Python, websockets and Node against `drywire serve`. Certificates are made for the run, by
openssl."""

import asyncio
import contextlib
import functools
import http.client
import shutil
import ssl
import subprocess
import tempfile
from pathlib import Path

from websockets.asyncio.client import connect

from harness import LIMIT, OPTIONS, Server, Skip, curl, equal, expect, program

TLS_CHECKS = []
ASK = b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def check(function):
    TLS_CHECKS.append(function)
    return function


@functools.cache
def certificates():
    """A temporary folder with an authority and what it vouches for: NAME.pem and NAME.key."""
    if shutil.which("openssl") is None:
        raise Skip("no openssl")
    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name)

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=path, check=True, capture_output=True, timeout=LIMIT)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    for authority in ("ca", "stranger"):
        openssl("req", "-x509", *key, "-keyout", f"{authority}.key", "-out", f"{authority}.pem", "-days", "2", "-subj", f"/CN=drywire {authority}")
    # The validity of "old" ends when it begins.
    for name, authority, alternatives, days in [
        ("server", "ca", "DNS:localhost,IP:127.0.0.1", "2"), ("elsewhere", "ca", "DNS:elsewhere.example", "2"),
        ("old", "ca", "DNS:localhost,IP:127.0.0.1", "0"),
        ("client", "ca", "DNS:client.example", "2"), ("intruder", "stranger", "DNS:client.example", "2"),
    ]:
        (path / "extensions").write_text(f"subjectAltName={alternatives}\n")
        openssl("req", *key, "-keyout", f"{name}.key", "-out", "request", "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", "request", "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key", "-CAcreateserial",
                "-out", f"{name}.pem", "-days", days, "-extfile", "extensions")
    return folder


def file(name):
    return str(Path(certificates().name, name))


@contextlib.contextmanager
def serving(runtime, *more):
    server = Server(OPTIONS.binary, runtime, "--cert", file("server.pem"), "--key", file("server.key"), *more)
    try:
        yield server
    finally:
        equal(server.stop(), 0)


def context(version="1.3"):
    chosen = ssl.create_default_context(cafile=file("ca.pem"))
    chosen.minimum_version = chosen.maximum_version = VERSIONS[version]
    chosen.set_alpn_protocols(["http/1.1"])
    return chosen


@check
def tls_curl(runtime):
    with serving(runtime) as server:
        for version in ("1.2", "1.3"):
            options = ["--cacert", file("ca.pem"), f"--tlsv{version}", "--tls-max", version]
            equal(curl(*options, server.url + "/hello"), b"hello, world\n")
            back = curl(*options, "-X", "POST", "-T", "-", server.url + "/echo", stdin=b"0123456789" * 300_000)
            equal(len(back), 3_000_000)
            out = curl(*options, "-v", "--stderr", "-", server.url + "/hello", server.url + "/bytes/10")
            expect(b"Re-using existing" in out or b"Reusing existing" in out, out)
            expect(b"server accepted http/1.1" in out or b"ALPN, server accepted to use http/1.1" in out, out)
        equal(curl("-k", server.url + "/hello"), b"hello, world\n")


@check
def tls_self_signed(runtime):
    server = Server(OPTIONS.binary, runtime, "--tls", "self-signed")
    try:
        equal(curl("-k", server.url + "/hello"), b"hello, world\n")
    finally:
        equal(server.stop(), 0)


@check
def tls_openssl_resumes(runtime):
    with serving(runtime) as server, tempfile.TemporaryDirectory() as folder:
        for version in ("tls1_2", "tls1_3"):
            session = str(Path(folder, version))

            def ask(*more, version=version):
                run = subprocess.run(["openssl", "s_client", "-connect", f"{server.host}:{server.port}", "-CAfile", file("ca.pem"), "-ign_eof",
                                      "-verify_return_error", f"-{version}", *more], input=ASK, capture_output=True, timeout=LIMIT)
                expect(b"hello, world\n" in run.stdout, run.stdout[-500:] + run.stderr)
                return run.stdout

            expect(b"\nNew, TLSv1" in ask("-sess_out", session), "the first session is a new one")
            expect(b"\nReused, TLSv1" in ask("-sess_in", session), "the second one is resumed")


@check
def tls_python(runtime):
    async def talk(server, chosen):
        async with connect(server.ws.replace("127.0.0.1", "localhost") + "/ws/echo", ssl=chosen, host=server.host, port=server.port) as ws:
            for message in ("hello", b"x" * 500_000):
                await ws.send(message)
                equal(await ws.recv(), message)

    with serving(runtime) as server:
        for version in VERSIONS:
            connection = http.client.HTTPSConnection(server.host, server.port, context=context(version), timeout=LIMIT)
            for _ in range(3):
                connection.request("GET", "/hello")
                equal(connection.getresponse().read(), b"hello, world\n")
            equal((connection.sock.version(), connection.sock.selected_alpn_protocol()), (f"TLSv{version}", "http/1.1"))
            connection.close()
            asyncio.run(asyncio.wait_for(talk(server, context(version)), LIMIT))


NODE = """
const https = require("node:https");
const [url, ca] = process.argv.slice(1);
const agent = new https.Agent({ keepAlive: true, maxSockets: 1, ca: require("node:fs").readFileSync(ca) });
const get = (path) => new Promise((resolve, reject) =>
  https.get(url + path, { agent }, (res) => { let n = 0; res.on("data", (d) => (n += d.length)); res.on("end", () => resolve(n)); }).on("error", reject));
(async () => { console.log(await get("/hello"), await get("/bytes/1000000")); agent.destroy(); })();
"""


@check
def tls_node(runtime):
    if shutil.which("node") is None:
        raise Skip("no Node.js")
    with serving(runtime) as server:
        run = subprocess.run(["node", "-e", NODE, server.url, file("ca.pem")], capture_output=True, text=True, timeout=LIMIT)
        equal((run.stdout, run.stderr), ("13 1000000\n", ""))


@check
def tls_client_certificates(runtime):
    with serving(runtime, "--client-ca", file("ca.pem")) as server:
        for version in ("1.2", "1.3"):
            def ask(*more, version=version):
                return subprocess.run(["curl", "-sS", "--noproxy", "*", "--max-time", str(LIMIT), "--cacert", file("ca.pem"), "--tls-max", version,
                                       *more, server.url + "/hello"], capture_output=True, timeout=LIMIT)

            equal(ask("--cert", file("client.pem"), "--key", file("client.key")).stdout, b"hello, world\n")
            # The alert arrives, whatever else the client has sent by then.
            for refused in (ask(), ask("--cert", file("intruder.pem"), "--key", file("intruder.key"))):
                expect(refused.returncode != 0 and refused.stdout == b"" and b"alert" in refused.stderr, refused)


@check
def tls_and_plain_do_not_meet(runtime):
    with serving(runtime) as server:
        plain = f"http://{server.host}:{server.port}/hello"
        head = curl("-i", plain)
        expect(head.startswith(b"HTTP/1.1 400 ") and b"https" in head, head)
        # More than the server reads before it answers.
        head = curl("-i", "-T", "-", plain, stdin=b"x" * 100_000)
        expect(head.startswith(b"HTTP/1.1 400 "), head)
        # Not ours, and not HTTP either.
        with server.socket() as sock:
            sock.sendall(bytes(range(256)))
            expect(sock.recv(1) in (b"\x15", b""), "an alert or an end")
    equal([line for line in server.log if "does not speak TLS: it began with \"GET /hello HTTP/" in line] != [], True)


@check
def tls_wrong_arguments(runtime):
    for arguments in (["--tls", "other"], ["--cert", file("server.pem")], ["--cert", file("server.pem"), "--key", file("ca.pem")],
                      ["--cert", file("server.pem"), "--key", file("client.key")], ["--client-ca", file("ca.pem")],
                      ["--cert", "/nowhere", "--key", "/nowhere"]):
        run = program("serve", "--listen", "127.0.0.1:0", "--runtime", runtime, *arguments)
        equal((run.returncode, run.stdout, run.stderr.count(b"\n")), (2, b"", 1))
