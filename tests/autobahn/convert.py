"""Makes the installed Autobahn Testsuite, which is Python 2, run on Python 3. Run it with the environment's Python.

Inside the suite a string of octets stays a `str` of the characters 0 to 255, as if every literal were latin-1. It is
turned into `bytes` only where the suite calls into Autobahn, and back where Autobahn calls the suite (`octets.py`). What
the cases send, expect and judge stays as it is.
"""

import re
import shutil
import sys
import sysconfig
from pathlib import Path

from fissix.refactor import RefactoringTool, get_fixers_from_package

PACKAGES = Path(sysconfig.get_paths()["purelib"])
SUITE = PACKAGES / "autobahntestsuite"
HERE = Path(__file__).parent

# What only changes the style, and what takes the old `buffer` for something else than the suite does.
UNWANTED = ("fix_idioms", "fix_set_literal", "fix_ws_comma", "fix_buffer")


def read_as_latin_1(source):
    """Declares a source's encoding, so that a literal beyond ASCII keeps its octets."""
    lines = source.read_bytes().split(b"\n")
    for index, line in enumerate(lines[:2]):
        if re.match(rb"^[ \t\f]*#.*?coding[:=]", line):
            lines[index] = b"#"
    source.write_bytes(b"# -*- coding: latin-1 -*-\n" + b"\n".join(lines))


def replace(source, substitutions, everywhere=True):
    """Applies `(pattern, replacement)` or `(pattern, replacement, how often at least)`."""
    text = source.read_text(encoding="latin-1")
    for pattern, replacement, *least in substitutions:
        text, count = re.subn(pattern, replacement, text)
        if everywhere and count < (least[0] if least else 1):
            sys.exit(f"this is not the suite that is known here: {source.name} has no {pattern}")
    source.write_text(text, encoding="latin-1")


sources = sorted(SUITE.rglob("*.py"))
for source in sources:
    read_as_latin_1(source)

fixers = [name for name in get_fixers_from_package("fissix.fixes") if not name.endswith(UNWANTED)]
RefactoringTool(fixers).refactor([str(source) for source in sources], write=True)

shutil.copy(HERE / "octets.py", SUITE / "octets.py")

for source in sorted((SUITE / "case").glob("*.py")):
    replace(source, [
        (r"(?m)^import binascii$", "from autobahntestsuite import octets as binascii"),
        (r"(?m)^(import copy, os, pkg_resources, hashlib), binascii", r"\1\nfrom autobahntestsuite import octets as binascii"),
        (r"\bhashlib\.sha1\(\)", "binascii.sha1()"),
        (r"\bv\.validate\(vss\[:i\]\)", "v.validate(vss[:i].encode('latin-1'))"),
        (r"\(object, Case,? *\)", "(Case,)"),
        (r"(?m)^from zope\.interface import implements$", "implements = lambda *_: None"),
        (r"\.tostring\(\)", ".tobytes().decode('latin-1')"),
        (r"open\(fn, ?'rb'\)\.read\(\)", "open(fn, 'rb').read().decode('latin-1')"),
        (r"\b(msg|payload)\.decode\('utf-8'\)", r"binascii.decode(\1)"),
        (r"\b(msg|payload)\.encode\('utf-8'\)", r"binascii.encode(\1)"),
    ], everywhere=False)
replace(SUITE / "case" / "case10_1_1.py", [(r"len\(self\.payload\) / self", "len(self.payload) // self")])

replace(SUITE / "fuzzing.py", [
    (r"\bbinascii\b(?=[\.])", "octets"),
    (r"(?m)^(import os, json, .*)$", r"\1\nfrom autobahntestsuite import octets"),
    (r"(def binLogData\(data, maxlen = 64\):\n)", r"\1   data = octets.text(data)\n"),
    (r"(def asciiLogData\(data, maxlen = 64, replace = False\):\n)", r"\1   data = octets.text(data)\n"),
    (r"return dd\.decode\('utf8', errors = ", "return octets.decode(dd, errors = "),
    (r"''\.join\(payload\)", "b''.join(payload)"),
    (r"report_filename\), 'w'\)", "report_filename), 'w', encoding='utf-8', errors='replace')", 4),
    (r"c\[1\]\)\)\.encode\(\"utf-8\"\)\)", "c[1])))"),
    (r"ll\.encode\('utf8'\)", "ll"),
    (r"json\.dumps\(", "json.dumps(default=octets.text, obj="),
    (r"pl\.encode\(\"UTF-8\"\)", "octets.encode(pl)", 2),
    (r"class FuzzingServerProtocol\(FuzzingProtocol, ", "class FuzzingServerProtocol(octets.Boundary, FuzzingProtocol, "),
    (r"class FuzzingClientProtocol\(FuzzingProtocol, ", "class FuzzingClientProtocol(octets.Boundary, FuzzingProtocol, "),
])

replace(PACKAGES / "autobahn" / "websocket" / "protocol.py", [
    (r"range\(payload_len / len\(payload\)\)", "range(payload_len // len(payload))"),
])

# This mode needs a test package that only Python 2 had, and has nothing to do with WebSocket.
(SUITE / "serializer.py").write_text("def start(*_, **__):\n    raise SystemExit('not available on Python 3')\n")
