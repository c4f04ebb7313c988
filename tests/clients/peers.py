"""HTTP between peers: nginx on either side, proxies, Node.js as an origin."""

import asyncio
import contextlib
import hashlib
import os
import re
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from websockets.asyncio.client import connect

from harness import HERE, LIMIT, OPTIONS, Skip, check, curl, equal, expect, program, status, until

NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi; client_max_body_size 0;
    upstream drywire {{ server {upstream}; keepalive 4; }}
    server {{
        listen 127.0.0.1:{port};
        proxy_http_version 1.1;
        location / {{ proxy_set_header Connection ""; proxy_pass http://drywire; }}
        location /streamed/ {{
            proxy_request_buffering off; proxy_buffering off;
            proxy_set_header Connection ""; proxy_pass http://drywire/;
        }}
        location /one-by-one/ {{ proxy_http_version 1.0; proxy_pass http://drywire/; }}
        location /sockets/ {{
            proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; proxy_set_header Host $http_host;
            proxy_pass http://drywire/ws/;
        }}
        location /files/ {{ alias {folder}/files/; }}
        location = /moved {{ return 301 /files/file.bin; }}
        location = /compressed {{ gzip on; gzip_min_length 1; gzip_types *; alias {folder}/files/text; }}
    }}
}}
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@contextlib.contextmanager
def running(arguments, port):
    """A process, from when it listens on the port until it is ended."""
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            expect(process.poll() is None, f"{arguments}: ended: {process.stderr}")
            time.sleep(0.05)
        else:
            raise AssertionError(f"{arguments} does not listen on {port}")
        yield process
    finally:
        process.terminate()
        process.wait(timeout=20)


@contextlib.contextmanager
def nginx(server):
    if OPTIONS.nginx == "none":
        raise Skip("no nginx")
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        files = Path(folder, "files")
        files.mkdir()
        (files / "file.bin").write_bytes(os.urandom(3_000_000))
        (files / "text").write_text("the same line again and again\n" * 1000)
        config = Path(folder, "nginx.conf")
        config.write_text(NGINX.format(folder=folder, upstream=f"{server.host}:{server.port}", port=port))
        with running([OPTIONS.nginx, "-p", folder, "-c", str(config), "-e", f"{folder}/error.log"], port):
            yield f"127.0.0.1:{port}", files


@check
def nginx_in_front_of_us(server):
    with nginx(server) as (address, _):
        url = f"http://{address}"
        for _ in range(3):
            equal(curl(url + "/hello"), b"hello, world\n")
        equal(len(curl(url + "/bytes/5000000")), 5_000_000)
        equal(status("-I", url + "/bytes/7"), 200)
        equal(status(url + "/nowhere"), 404)
        data = os.urandom(2_000_000)
        # By length, by chunks, chunks passed on as they come, with 100 (Continue), and over HTTP/1.0.
        for path, more in [("/echo", []), ("/echo", ["-H", "Transfer-Encoding: chunked"]),
                           ("/streamed/echo", ["-H", "Transfer-Encoding: chunked"]),
                           ("/streamed/echo", ["-H", "Expect: 100-continue"]), ("/one-by-one/echo", [])]:
            back = curl("--data-binary", "@-", *more, url + path, stdin=data)
            expect(hashlib.sha256(back).digest() == hashlib.sha256(data).digest(), f"{path} {more}: {len(back)} bytes")
        equal(curl(url + "/one-by-one/hello"), b"hello, world\n")

        with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), timeout=LIMIT) as events:
            last = int(re.search(rb'"id":(\d+)', curl("-d", "start", url + "/feed"))[1])
            events.sendall(f"GET /streamed/feed/events?after={last - 1} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            until(events, f"id: {last}\ndata: start\n\n".encode())
            curl("-d", "next", url + "/feed")
            until(events, f"id: {last + 1}\ndata: next\n\n".encode())

        async def talk():
            async with connect(f"ws://{address}/sockets/echo", origin=url) as ws:
                await ws.send("through nginx")
                equal(await ws.recv(), "through nginx")

        asyncio.run(asyncio.wait_for(talk(), LIMIT))


@check
def nginx_behind_our_client(server):
    with nginx(server) as (address, files):
        url = f"http://{address}"
        for runtime in ("tokio", "std"):
            run = program("get", url + "/files/file.bin", "--runtime", runtime)
            expect(run.returncode == 0 and run.stdout == (files / "file.bin").read_bytes(), run.stderr)
            run = program("get", url + "/files/file.bin", "-H", "Range: bytes=10-19", "-v", "--runtime", runtime)
            equal((run.returncode, run.stdout), (0, (files / "file.bin").read_bytes()[10:20]))
            expect(b"< HTTP/1.1 206 " in run.stderr, run.stderr)
            run = program("get", url + "/moved", "-v", "--runtime", runtime)
            expect(run.returncode == 0 and b"< HTTP/1.1 301 " in run.stderr, run.stderr)
            run = program("get", url + "/files/file.bin", "-X", "HEAD", "-v", "--runtime", runtime)
            expect(run.returncode == 0 and run.stdout == b"" and b"< Content-Length: 3000000" in run.stderr, run.stderr)
            # What nginx compresses as it goes is chunked.
            run = program("get", url + "/compressed", "-H", "Accept-Encoding: gzip", "-v", "--runtime", runtime)
            expect(run.returncode == 0 and b"< Transfer-Encoding: chunked" in run.stderr, run.stderr)
            expect(run.stdout.startswith(b"\x1f\x8b"), run.stdout[:20])
            run = program("get", url + "/echo", "-d", "through nginx", "--runtime", runtime)
            equal((run.returncode, run.stdout), (0, b"through nginx"))


@check
def curl_asks_in_absolute_form(server):
    equal(curl("--noproxy", "", "--proxy", server.url, "http://any.example/hello"), b"hello, world\n")
    equal(curl("--noproxy", "", "--proxy", server.url, "-d", "x", "http://any.example/echo"), b"x")


@check
def curl_by_connect(server):
    if OPTIONS.tunnel == "none":
        raise Skip("the example was not built")
    port = free_port()
    with running([OPTIONS.tunnel, f"127.0.0.1:{port}"], port):
        by_tunnel = ["--noproxy", "", "--proxytunnel", "--proxy", f"http://127.0.0.1:{port}"]
        equal(curl(*by_tunnel, server.url + "/hello", server.url + "/hello"), b"hello, world\n" * 2)
        data = os.urandom(3_000_000)
        back = curl(*by_tunnel, "--data-binary", "@-", server.url + "/echo", stdin=data)
        expect(back == data, f"{len(back)} bytes")
        # Nobody listens there, and no other method is known.
        run = subprocess.run(["curl", "-sS", *by_tunnel, "http://127.0.0.1:1/"], capture_output=True, text=True)
        expect(run.returncode == 56 and "502" in run.stderr, run)
        equal(status(f"http://127.0.0.1:{port}/"), 405)
        # What comes in one piece with the request is for the far end.
        with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as sock:
            authority = f"{server.host}:{server.port}"
            sock.sendall(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"
                         f"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            answer = until(sock, b"hello, world\n")
            expect(answer.startswith(b"HTTP/1.1 200 ") and answer.count(b"HTTP/1.1 200 ") == 2, answer)


@check
def curl_asks_axum(server):
    del server
    if OPTIONS.axum == "none":
        raise Skip("the example was not built")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running([OPTIONS.axum, f"127.0.0.1:{port}"], port):
        equal(curl(url + "/hello", url + "/hello/curl"), b"hello, world\nhello, curl\n")
        head = curl("-I", url + "/hello").lower()
        expect(b"\r\ncontent-length: 13\r\n" in head and b"\r\ndate: " in head, head)
        equal(curl("--http1.0", url + "/hello"), b"hello, world\n")
        equal(curl("-d", "twelve bytes", url + "/length"), b"12\n")
        # Both ways at once, and far more than the buffers take.
        data = os.urandom(3_000_000)
        for how in ([], ["-H", "Transfer-Encoding: chunked"], ["--http1.0"]):
            back = curl(*how, "--data-binary", "@-", url + "/echo", stdin=data)
            expect(back == data, f"{how}: {len(back)} bytes")
        # 100 (Continue) where content is read, and none where there is nobody to read it.
        expecting = ["-v", "--stderr", "-", "-H", "Expect: 100-continue", "-d", "content"]
        expect(b"< HTTP/1.1 100 " in curl(*expecting, url + "/length"), "no 100")
        expect(b"< HTTP/1.1 100 " not in curl(*expecting, url + "/nowhere"), "100 for nobody")
        equal(status("--data-binary", "@-", url + "/length", stdin=b"x" * 3_000_000), 413)
        # Trailers come back.
        with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as sock:
            sock.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n"
                         b"Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\nX-Sum: 3\r\n\r\n")
            answer = until(sock, b"x-sum: 3\r\n\r\n")
            expect(answer.endswith(b"0\r\nx-sum: 3\r\n\r\n"), answer)

        async def mirror():
            async with connect(f"ws://127.0.0.1:{port}/ws") as websocket:
                for message in ("text", b"bytes", "x" * 100_000):
                    await websocket.send(message)
                    equal(await websocket.recv(), message)

        asyncio.run(asyncio.wait_for(mirror(), LIMIT))


@check
def node_behind_our_client(server):
    del server
    if OPTIONS.node != "yes":
        raise Skip("no Node.js with npm")
    port = free_port()
    with running(["node", str(HERE / "origin.cjs"), str(port)], port):
        url = f"http://127.0.0.1:{port}"
        for runtime in ("tokio", "std"):
            run = program("get", url + "/hints", "-v", "--runtime", runtime)
            equal((run.returncode, run.stdout), (0, b"hinted"))
            expect(re.search(rb"< HTTP/1.1 103 .*< HTTP/1.1 200 ", run.stderr, re.S), run.stderr)
            run = program("get", url + "/trailers", "-v", "-H", "TE: trailers", "--runtime", runtime)
            equal((run.returncode, run.stdout), (0, b"onetwothree"))
            expect(b"< X-Sum: 11\n" in run.stderr.replace(b"\r", b""), run.stderr)
            run = program("get", url + "/echo", "-d", "posted", "-H", "Expect: 100-continue", "--runtime", runtime)
            equal((run.returncode, run.stdout), (0, b"posted"))
            run = program("get", url + "/until-close", "--runtime", runtime)
            equal((run.returncode, len(run.stdout)), (0, 1_000_000))
