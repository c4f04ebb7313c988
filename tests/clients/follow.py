"""What `drywire get` and `drywire ws` do between two connections: redirects, lost connections, proxies, time limits."""

import contextlib
import socket
import subprocess
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from harness import LIMIT, OPTIONS, Skip, check, equal, expect, program
from peers import free_port, nginx, running

RUNTIMES = ("tokio", "std")


@contextlib.contextmanager
def python_server(answer):
    """Python's own server; `answer(handler)` writes the response. Gives the URL and the requests, as they came."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self):
            seen.append((self.command, self.path, dict(self.headers)))
            self.content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer(self)

        do_GET = do_POST = do_PUT = handle_one

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{httpd.server_address[1]}", seen
        finally:
            httpd.shutdown()


def respond(handler, status, content=b"", **fields):
    handler.send_response(status)
    for name, value in fields.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)


@contextlib.contextmanager
def scripted(*connections):
    """A server whose nth connection is handled by the nth function, which gets the socket."""
    failures = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve():
            for connection in connections:
                sock, _ = listener.accept()
                with sock:
                    sock.settimeout(LIMIT)
                    try:
                        connection(sock)
                    except Exception as error:
                        failures.append(error)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(LIMIT)
        expect(not failures and not thread.is_alive(), failures or "not all connections came")


def head_of(sock):
    """The head of a request, byte by byte, so that nothing behind it is taken."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        expect(byte, f"ended inside a head: {head!r}")
        head += byte
    return head


@check
def redirects_of_python_across_origins(server):
    del server
    with python_server(lambda handler: respond(handler, 200, b"arrived by " + handler.command.encode())) as (there, at_there):
        def here(handler):
            respond(handler, {"/303": 303, "/307": 307}[handler.path], b"elsewhere", Location=there + "/there?a[]=b#part")

        with python_server(here) as (url, at_here):
            for runtime in RUNTIMES:
                more = ["-u", "user:secret", "-H", "Cookie: c=1", "-H", "X-Mine: 1", "--runtime", runtime]
                run = program("get", url + "/303", "-d", "content", *more)
                equal((run.returncode, run.stdout), (0, b"elsewhere"))
                run = program("get", url + "/303", "-L", "-d", "content", *more)
                equal((run.returncode, run.stdout), (0, b"arrived by GET"))
                run = program("get", url + "/307", "-L", "-d", "content", *more)
                equal((run.returncode, run.stdout), (0, b"arrived by POST"))
                run = program("get", url + "/307", "-L", "--max-redirects", "0", *more)
                equal((run.returncode, run.stdout), (0, b"elsewhere"))
            expect(all(fields["authorization"] == "Basic dXNlcjpzZWNyZXQ=" for _, _, fields in at_here), at_here)
        for _, path, fields in at_there:
            names = {name.lower() for name in fields}
            expect(path == "/there?a%5B%5D=b" and "x-mine" in names, (path, fields))
            expect(not names & {"authorization", "cookie"}, fields)


@check
def redirects_of_nginx(server):
    with nginx(server) as (address, files):
        for runtime in RUNTIMES:
            run = program("get", f"http://{address}/moved", "-L", "-v", "--runtime", runtime)
            equal((run.returncode, run.stdout), (0, (files / "file.bin").read_bytes()))
            expect(run.stderr.count(b"> GET ") == 2 and b"< HTTP/1.1 301 " in run.stderr, run.stderr)


@check
def redirects_without_end(server):
    del server
    for location, reason in (("/same", b"circle"), ("/{n}", b"more than 10 redirects"), ("ftp://a.example/", b"ftp")):
        count = iter(range(100))
        with python_server(lambda handler: respond(handler, 302, Location=location.format(n=next(count)))) as (url, _):
            for runtime in RUNTIMES:
                run = program("get", url + "/same", "-L", "--runtime", runtime)
                expect(run.returncode == 1 and reason in run.stderr and len(run.stderr.splitlines()) == 1, run)


@check
def connections_that_were_lost_between_two_requests(server):
    """The redirect promises that the connection stays, and then the server closes it, at once or on the next request."""
    del server

    def redirect(sock):
        head_of(sock)
        sock.sendall(b"HTTP/1.1 302 \r\nLocation: /next\r\nContent-Length: 0\r\n\r\n")

    def redirect_and_lose(sock):
        redirect(sock)
        head_of(sock)

    def answer(sock):
        expect(head_of(sock).startswith(b"GET /next "), "another request")
        sock.sendall(b"HTTP/1.1 200 \r\nContent-Length: 3\r\n\r\nyes")

    for runtime in RUNTIMES:
        for first in (redirect, redirect_and_lose):
            with scripted(first, answer) as url:
                run = program("get", url, "-L", "--runtime", runtime)
                equal((run.returncode, run.stdout, run.stderr), (0, b"yes", b""))


@check
def a_refusal_in_the_middle_of_an_upload(server):
    del server
    answered = threading.Event()

    def refuse(sock):
        head_of(sock)
        sock.sendall(b"HTTP/1.1 413 \r\nContent-Length: 8\r\n\r\ntoo much")
        expect(answered.wait(LIMIT), "the client waits for what is not read")

    with tempfile.TemporaryDirectory() as folder:
        upload = Path(folder, "upload")
        upload.write_bytes(b"x" * (32 << 20))
        for runtime in RUNTIMES:
            answered.clear()
            with scripted(refuse) as url:
                run = program("get", url, "-d", f"@{upload}", "--runtime", runtime)
                answered.set()
                equal((run.returncode, run.stdout), (0, b"too much"))


@check
def time_limits(server):
    del server

    def silent(sock):
        # Who gives up in the middle of an exchange resets the connection.
        with contextlib.suppress(ConnectionResetError):
            while sock.recv(4096):
                pass

    for runtime in RUNTIMES:
        with scripted(silent) as url:
            run = program("get", url, "--max-time", "0.2", "--runtime", runtime)
            expect(run.returncode == 1 and b"too long" in run.stderr, run)


@check
def a_proxy_from_the_environment_and_from_the_arguments(server):
    del server
    with python_server(lambda handler: respond(handler, 200, handler.path.encode())) as (proxy, seen):
        for runtime in RUNTIMES:
            run = program("get", "http://a.example/x?y", "--runtime", runtime, environment={"http_proxy": proxy})
            equal((run.returncode, run.stdout), (0, b"http://a.example/x?y"))
            run = program("get", "http://a.example/", "--runtime", runtime, "--proxy", proxy.replace("//", "//u:p@"))
            equal((run.returncode, run.stdout), (0, b"http://a.example/"))
            equal(seen[-1][2]["proxy-authorization"], "Basic dTpw")
            # Not for this host, and not what a request could have set.
            for own in ({"no_proxy": "127.0.0.1", "http_proxy": "http://127.0.0.1:1"},
                        {"REQUEST_METHOD": "GET", "HTTP_PROXY": "http://127.0.0.1:1"}):
                equal(program("get", proxy + "/direct", "--runtime", runtime, environment=own).stdout, b"/direct")
            run = program("get", proxy, "--proxy", "socks5://a.example", "--runtime", runtime)
            expect(run.returncode == 2 and b"socks5" in run.stderr, run)


@check
def websockets_through_a_tunnel(server):
    if OPTIONS.tunnel == "none":
        raise Skip("the example was not built")
    port = free_port()
    with running([OPTIONS.tunnel, f"127.0.0.1:{port}"], port):
        for runtime in RUNTIMES:
            run = program("ws", server.ws + "/ws/echo", "--proxy", f"127.0.0.1:{port}", "--runtime", runtime, stdin=b"through\n")
            equal((run.returncode, run.stdout, run.stderr), (0, b"through\n", b""))
            run = program("ws", "ws://127.0.0.1:1/", "--proxy", f"127.0.0.1:{port}", "--runtime", runtime)
            expect(run.returncode == 1 and b"502" in run.stderr, run)


@check
def known_hosts_are_shared_with_curl(server):
    """Both programs read what the other has written; curl upgrades by our file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "hosts")
        path.write_text('# from curl\n.a.example "20990101 00:00:00"\nb.example "20200101 00:00:00"\n')
        for runtime in RUNTIMES:
            before = path.read_text()
            run = program("get", server.url + "/hello", "--hsts", str(path), "--runtime", runtime)
            equal((run.returncode, path.read_text()), (0, before))
            new = Path(folder, runtime)
            equal(program("get", server.url + "/hello", "--hsts", str(new), "--runtime", runtime).returncode, 0)
            expect(new.read_text().startswith("#"), new.read_text())
        # Nobody speaks TLS there, which is the proof that curl went there by TLS.
        run = subprocess.run(["curl", "-sv", "--hsts", str(path), "--connect-to", f"::127.0.0.1:{server.port}",
                              "http://x.a.example/"], capture_output=True, timeout=LIMIT)
        if b"not supported" in run.stderr or run.returncode == 2:
            raise Skip("this curl knows no HSTS")
        expect(run.returncode == 35 and b"HSTS" in run.stderr, run)
        path.write_text("nonsense\n")
        run = program("get", server.url + "/hello", "--hsts", str(path))
        expect(run.returncode == 2 and b"line 1" in run.stderr, run)
