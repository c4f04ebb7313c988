"""`drywire get` and `drywire ws` by TLS against real servers: Python's own, openssl, Node.js, websockets and our own."""

import asyncio
import contextlib
import re
import shutil
import ssl
import subprocess
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from websockets.asyncio.server import serve

from follow import python_server, respond
from harness import LIMIT, OPTIONS, Skip, equal, expect, program
from peers import free_port, running
from tls import VERSIONS, file, serving

TLS_CLIENT_CHECKS = []
LARGE = b"0123456789" * 300_000


def check(function):
    TLS_CLIENT_CHECKS.append(function)
    return function


def context(name="server", version=None, client_ca=None):
    chosen = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    chosen.load_cert_chain(file(f"{name}.pem"), file(f"{name}.key"))
    if version:
        chosen.minimum_version = chosen.maximum_version = VERSIONS[version]
    if client_ca:
        chosen.verify_mode = ssl.CERT_REQUIRED
        chosen.load_verify_locations(client_ca)
    return chosen


@contextlib.contextmanager
def python_tls_server(chosen):
    """Python's own server by HTTPS. Gives its port."""
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            respond(self, 200, {"/large": LARGE}.get(self.path, self.connection.version().encode()))

        def do_POST(self):
            respond(self, 200, self.rfile.read(int(self.headers["Content-Length"])))

        def log_message(self, *_):
            pass

    class TlsServer(ThreadingHTTPServer):
        def finish_request(self, request, address):
            # Per connection, not on the listener: a client that gives up must not hold the others.
            request.settimeout(LIMIT)
            with contextlib.suppress(OSError), chosen.wrap_socket(request, server_side=True) as secure:
                super().finish_request(secure, address)
                secure.unwrap()

    with TlsServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        try:
            yield httpd.server_address[1]
        finally:
            httpd.shutdown()


def get(runtime, url, *more, ca="ca", **others):
    trust = ["--cacert", file(f"{ca}.pem")] if ca else []
    return program("get", url, *trust, *more, "--runtime", runtime, **others)


def refused(run, *reasons):
    """One line that names a reason, and the status of what was tried and failed."""
    expect(run.returncode == 1 and run.stdout == b"" and run.stderr.count(b"\n") == 1, run)
    expect(any(reason in run.stderr for reason in reasons), run)


@check
def tls_get_from_python(runtime):
    for version in VERSIONS:
        with python_tls_server(context(version=version)) as port:
            for host in ("localhost", "127.0.0.1"):
                run = get(runtime, f"https://{host}:{port}/", "-v")
                equal((run.returncode, run.stdout), (0, f"TLSv{version}".encode()))
                expect(f"> Host: {host}:{port}\n".encode().lower() in run.stderr.lower(), run.stderr)
            equal(get(runtime, f"https://localhost:{port}/large").stdout, LARGE)
            equal(get(runtime, f"https://localhost:{port}/", "-d", "@-", stdin=LARGE).stdout, LARGE)


@check
def tls_get_from_openssl(runtime):
    for version in ("tls1_2", "tls1_3"):
        arguments = ["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", file("server.pem"), "-key", file("server.key"), "-www", f"-{version}"]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
            try:
                port = next(match[1] for line in server.stdout if (match := re.match(r"ACCEPT 127\.0\.0\.1:(\d+)", line)))
                run = get(runtime, f"https://127.0.0.1:{port}/")
                expect(run.returncode == 0 and version.replace("tls", "TLSv").replace("_", ".").encode() in run.stdout, run)
            finally:
                server.terminate()


NODE = """
const https = require("node:https"), fs = require("node:fs");
const [cert, key] = process.argv.slice(1);
const server = https.createServer({ cert: fs.readFileSync(cert), key: fs.readFileSync(key) }, (req, res) => {
  if (req.url === "/moved") return res.writeHead(302, { Location: "/" }).end("elsewhere");
  res.write(`${req.socket.alpnProtocol} ${req.socket.servername} `);
  req.pipe(res);
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
"""


@check
def tls_get_from_node(runtime):
    if shutil.which("node") is None:
        raise Skip("no Node.js")
    with subprocess.Popen(["node", "-e", NODE, file("server.pem"), file("server.key")], stdout=subprocess.PIPE, text=True) as server:
        try:
            url = f"https://localhost:{int(server.stdout.readline())}"
            run = get(runtime, url + "/moved", "-L", "-v")
            equal((run.returncode, run.stdout), (0, b"http/1.1 localhost "))
            equal(run.stderr.count(b"> GET "), 2)
            equal(get(runtime, url, "-d", "@-", stdin=LARGE).stdout, b"http/1.1 localhost " + LARGE)
        finally:
            server.terminate()


@check
def tls_ws_to_python(runtime):
    async def echo(ws):
        await ws.send(f"welcome by {ws.transport.get_extra_info('ssl_object').version()}")
        async for message in ws:
            await ws.send(message)

    def talk(port, *more):
        return program("ws", f"wss://localhost:{port}/", *more, "--runtime", runtime, stdin=b"one\ntwo\n")

    async def run():
        for version in VERSIONS:
            async with serve(echo, "127.0.0.1", 0, ssl=context(version=version)) as server:
                port = server.sockets[0].getsockname()[1]
                said = await asyncio.to_thread(talk, port, "--cacert", file("ca.pem"))
                equal((said.returncode, said.stdout, said.stderr), (0, f"welcome by TLSv{version}\none\ntwo\n".encode(), b""))
                refused(await asyncio.to_thread(talk, port), b"nobody who is trusted vouches")

    asyncio.run(asyncio.wait_for(run(), LIMIT))


@check
def tls_ws_through_a_tunnel(runtime):
    if OPTIONS.tunnel == "none":
        raise Skip("the example was not built")
    port = free_port()
    with serving(runtime) as server, running([OPTIONS.tunnel, f"127.0.0.1:{port}"], port):
        arguments = ["--proxy", f"127.0.0.1:{port}", "--cacert", file("ca.pem"), "--runtime", runtime]
        equal(program("get", server.url + "/hello", *arguments).stdout, b"hello, world\n")
        run = program("ws", server.ws + "/ws/echo", *arguments, stdin=b"through\n")
        equal((run.returncode, run.stdout, run.stderr), (0, b"through\n", b""))


@check
def tls_get_refuses_who_cannot_be_trusted(runtime):
    for name, ca, reason in (("old", "ca", b"its certificate has expired"), ("elsewhere", "ca", b"elsewhere.example"),
                             ("server", "stranger", b"nobody who is trusted vouches"), ("server", None, b"nobody who is trusted vouches")):
        with python_tls_server(context(name)) as port:
            refused(get(runtime, f"https://localhost:{port}/", ca=ca), reason)
            run = get(runtime, f"https://localhost:{port}/", "--insecure", ca=None)
            equal((run.returncode, run.stdout), (0, b"TLSv1.3"))


@check
def tls_get_trusts_whom_the_system_trusts(runtime):
    with python_tls_server(context()) as port:
        run = get(runtime, f"https://localhost:{port}/", ca=None, environment={"SSL_CERT_FILE": file("ca.pem")})
        equal((run.returncode, run.stdout), (0, b"TLSv1.3"))
        nobody = {"SSL_CERT_FILE": "/nowhere", "SSL_CERT_DIR": "/nowhere"}
        refused(get(runtime, f"https://localhost:{port}/", ca=None, environment=nobody), b"the system's trusted certificates")
    # Who is not asked for TLS does not need them.
    with python_server(lambda handler: respond(handler, 200, b"plain")) as (url, _):
        equal(get(runtime, url, ca=None, environment=nobody).stdout, b"plain")


@check
def tls_get_with_a_client_certificate(runtime):
    own = ["--cert", file("client.pem"), "--key", file("client.key")]
    other = ["--cert", file("intruder.pem"), "--key", file("intruder.key")]
    for version in VERSIONS:
        with python_tls_server(context(version=version, client_ca=file("ca.pem"))) as port:
            equal(get(runtime, f"https://localhost:{port}/", *own).stdout, f"TLSv{version}".encode())
            for wrong in ([], other):
                refused(get(runtime, f"https://localhost:{port}/", *wrong), b"alert", b"reset")
    with serving(runtime, "--client-ca", file("ca.pem")) as server:
        equal(get(runtime, server.url + "/hello", *own).stdout, b"hello, world\n")
        for wrong in ([], other):
            refused(get(runtime, server.url + "/hello", *wrong), b"alert")
            refused(program("ws", server.ws + "/ws/echo", "--cacert", file("ca.pem"), *wrong, "--runtime", runtime), b"alert")


@check
def tls_get_is_led_to_tls(runtime):
    """By a redirect, and by what is known of the host."""
    with python_tls_server(context()) as port:
        with python_server(lambda handler: respond(handler, 301, Location=f"https://localhost:{port}/")) as (url, _):
            equal(get(runtime, url, "-L").stdout, b"TLSv1.3")
        with tempfile.TemporaryDirectory() as folder:
            known = Path(folder, "known")
            known.write_text('localhost "20990101 00:00:00"\n')
            equal(get(runtime, f"http://localhost:{port}/", "--hsts", str(known)).stdout, b"TLSv1.3")


@check
def tls_get_where_nobody_speaks_tls(runtime):
    with python_server(lambda handler: respond(handler, 200)) as (url, _):
        refused(get(runtime, url.replace("http:", "https:")), b"does not speak TLS")


@check
def tls_client_wrong_arguments(runtime):
    for arguments in (["--cacert", file("ca.pem"), "--insecure"], ["--cacert", "/nowhere"], ["--cacert", file("ca.key")],
                      ["--cert", file("client.pem")], ["--key", file("client.key")],
                      ["--cert", file("client.pem"), "--key", file("ca.pem")],
                      ["--cert", file("client.pem"), "--key", file("server.key")]):
        # What would be written to is left alone.
        for command in (["get", "https://127.0.0.1:1/", "-o", file("ca.pem")], ["ws", "wss://127.0.0.1:1/"]):
            run = program(*command, "--runtime", runtime, *arguments)
            equal((run.returncode, run.stdout, run.stderr.count(b"\n")), (2, b"", 1))
    expect(Path(file("ca.pem")).stat().st_size > 0, "the output was emptied")
    for command in (["get", "https://127.0.0.1:1/"], ["ws", "wss://127.0.0.1:1/"], ["get", "http://127.0.0.1:1/", "--insecure"]):
        run = program(*command, "--runtime", "tun", "--tun-address", "10.77.0.2/24")
        equal((run.returncode, run.stderr), (2, b"drywire: --runtime tun has no TLS\n"))
