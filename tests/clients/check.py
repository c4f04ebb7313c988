"""Real clients against `drywire serve`, and `drywire get` and `drywire ws` against real servers.

Every server listens on loopback and on a port that the system picks. Run it through `tests/clients/run`.
"""

import argparse
import asyncio
import contextlib
import hashlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

import crowd
import follow  # noqa: F401, whose checks join the list
import hostile
import load
import peers  # noqa: F401, likewise
import sockets  # noqa: F401, likewise
import tls
import tls_origins
from harness import CHECKS, COMPRESSED, HERE, LIMIT, OPTIONS, Server, Skip, check, curl, equal, expect, program, rest, status, until

# curl


@check
def curl_1_1(server):
    equal(curl(server.url + "/hello"), b"hello, world\n")
    head = curl("-i", server.url + "/hello")
    expect(head.startswith(b"HTTP/1.1 200 "), head)
    expect(b"\r\ncontent-length: 13\r\n" in head.lower(), head)
    expect(b"\r\ndate: " in head.lower(), head)


@check
def curl_1_0(server):
    equal(curl("--http1.0", server.url + "/hello"), b"hello, world\n")
    equal(len(curl("--http1.0", server.url + "/bytes/100000")), 100_000)


@check
def curl_keep_alive_over_two_urls(server):
    out = curl("-v", "--stderr", "-", server.url + "/hello", server.url + "/bytes/10")
    expect(b"Re-using existing" in out or b"Reusing existing" in out, out)


@check
def curl_head(server):
    head = curl("-I", server.url + "/bytes/1000")
    expect(head.startswith(b"HTTP/1.1 200 ") and b"content-length: 1000" in head.lower(), head)
    # The connection stays usable behind a HEAD.
    equal(curl("-I", server.url + "/hello", "-o", os.devnull, "--next", "-sS", server.url + "/hello"), b"hello, world\n")


@check
def curl_upload_of_200_mib_in_bounded_memory(server):
    size = 200 << 20
    with tempfile.TemporaryDirectory() as folder:
        source, back = Path(folder, "source"), Path(folder, "back")
        block = hashlib.sha256(b"drywire").digest() * 32768
        digest = hashlib.sha256()
        with source.open("wb") as file:
            for n in range(size // len(block)):
                piece = n.to_bytes(4, "big") + block[4:]
                file.write(piece)
                digest.update(piece)
        # -T sends PUT; /echo is asked by POST, with Expect: 100-continue as curl adds it by itself.
        out = curl("-v", "--stderr", "-", "-X", "POST", "-H", "Expect: 100-continue", "-T", str(source),
                   "-o", str(back), server.url + "/echo")
        expect(b"< HTTP/1.1 100 " in out, out[-2000:])
        equal(hashlib.sha256(back.read_bytes()).digest(), digest.digest())
    peak = server.memory_peak()
    print(f"    peak memory of the server: {peak / (1 << 20):.1f} MiB")
    expect(peak < 64 << 20, f"peak memory {peak}")


@check
def curl_put_upload(server):
    equal(curl("-T", "-", server.url + "/echo", stdin=b"by PUT"), b"by PUT")


@check
def curl_chunked_upload(server):
    data = bytes(range(256)) * 4096
    back = curl("-H", "Transfer-Encoding: chunked", "--data-binary", "@-", server.url + "/echo", stdin=data)
    equal(hashlib.sha256(back).digest(), hashlib.sha256(data).digest())


@check
def errors_have_their_status(server):
    equal(status(server.url + "/nowhere"), 404)
    head = curl("-i", "-X", "DELETE", server.url + "/hello")
    expect(head.startswith(b"HTTP/1.1 405 ") and re.search(rb"\r\nallow: GET, HEAD\r\n", head, re.I), head)
    equal(status(server.url + "/bytes/many"), 400)
    equal(status(server.url + "/feed/poll?after=x"), 400)
    equal(status(server.url + "/feed/long-poll?timeout=-1"), 400)
    large = b"x" * 100_000
    equal(status("--data-binary", "@-", server.url + "/feed", stdin=large), 413)
    equal(status("-H", "Transfer-Encoding: chunked", "--data-binary", "@-", server.url + "/feed", stdin=large), 413)


@check
def page(server):
    text = curl(server.url + "/")
    expect(text.startswith(b"<!doctype html>") and b"/feed/long-poll" in text, text[:200])


# The feed by every technique


def publish(server, text):
    return json.loads(curl("-d", text, server.url + "/feed"))["id"]


@check
def feed_poll(server):
    first = publish(server, "one")
    equal(publish(server, "two"), first + 1)
    events = json.loads(curl(f"{server.url}/feed/poll?after={first - 1}"))
    equal(events, [{"id": first, "text": "one"}, {"id": first + 1, "text": "two"}])
    equal(status(f"{server.url}/feed/poll?after={first + 1}"), 204)


@check
def feed_long_poll(server):
    last = publish(server, "before")
    begun = time.monotonic()
    equal(status(f"{server.url}/feed/long-poll?after={last}&timeout=1"), 204)
    expect(time.monotonic() - begun >= 0.9, "204 came before its time")
    held = subprocess.Popen(["curl", "-sS", "--max-time", str(LIMIT), f"{server.url}/feed/long-poll?after={last}&timeout=30"],
                            stdout=subprocess.PIPE)
    publish(server, "awaited")
    equal(json.loads(held.communicate(timeout=LIMIT)[0]), [{"id": last + 1, "text": "awaited"}])


@check
def feed_stream_and_events(server):
    last = publish(server, "start")
    with server.socket() as stream, server.socket() as events:
        stream.sendall(f"GET /feed/stream?after={last - 1} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        events.sendall(f"GET /feed/events HTTP/1.1\r\nHost: x\r\nLast-Event-ID: {last - 1}\r\n\r\n".encode())
        until(stream, b'"start"}\n')
        until(events, f"id: {last}\ndata: start\n\n".encode())
        publish(server, "next")
        until(stream, b'"next"}\n')
        until(events, f"id: {last + 1}\ndata: next\n\n".encode())


# Python


@check
def python_http_client(server):
    connection = http.client.HTTPConnection(server.host, server.port, timeout=LIMIT)
    for _ in range(3):
        connection.request("GET", "/hello")
        response = connection.getresponse()
        equal((response.status, response.read()), (200, b"hello, world\n"))
    connection.request("POST", "/echo", body=b"x" * 50_000)
    equal(connection.getresponse().read(), b"x" * 50_000)
    connection.request("POST", "/echo", body=iter([b"one", b"two"]), encode_chunked=True)
    equal(connection.getresponse().read(), b"onetwo")
    connection.request("HEAD", "/bytes/7")
    equal(connection.getresponse().read(), b"")
    connection.request("GET", "/bytes/1000000")
    equal(len(connection.getresponse().read()), 1_000_000)
    connection.close()


@check
def python_websockets(server):
    async def talk():
        async with connect(server.ws + "/ws/echo", subprotocols=["other", "echo"], max_size=None) as ws:
            equal(ws.subprotocol, "echo")
            equal(ws.response.headers["Sec-WebSocket-Extensions"], COMPRESSED)
            for message in ["", "hello", "αβγ" * 50_000, b"", bytes(range(256)), b"x" * 5_000_000]:
                await ws.send(message)
                equal(await ws.recv(), message)
            await ws.send(["in ", "three ", "pieces"])
            equal(await ws.recv(), "in three pieces")
            await (await ws.ping())
        equal((ws.close_code, ws.close_reason), (1000, ""))
        async with connect(server.ws + "/ws/echo", compression=None) as ws:
            equal(ws.subprotocol, None)
            equal(ws.response.headers.get("Sec-WebSocket-Extensions"), None)
            await ws.send("as it is " * 100)
            equal(await ws.recv(), "as it is " * 100)

    asyncio.run(asyncio.wait_for(talk(), LIMIT))


@check
def python_websockets_feed(server):
    async def talk():
        async with connect(server.ws + "/feed/ws") as one, connect(server.ws + "/feed/ws") as two:
            await one.send("to everybody")
            for ws in (one, two):
                equal(json.loads(await ws.recv())["text"], "to everybody")
            await asyncio.to_thread(publish, server, "by POST")
            for ws in (one, two):
                equal(json.loads(await ws.recv())["text"], "by POST")

    asyncio.run(asyncio.wait_for(talk(), LIMIT))


@check
def foreign_origin_is_refused(server):
    async def talk(origin):
        async with connect(server.ws + "/ws/echo", origin=origin) as ws:
            await ws.send("x")
            return await ws.recv()

    equal(asyncio.run(talk(server.url)), "x")
    try:
        asyncio.run(talk("http://elsewhere.example"))
    except websockets.InvalidStatus as refused:
        equal(refused.response.status_code, 403)
    else:
        raise AssertionError("a foreign origin was let in")


# Node and Chromium


def node(server, script, *arguments):
    if OPTIONS.node != "yes":
        raise Skip("no Node.js with npm")
    run = subprocess.run(["node", HERE / script, server.url, *arguments], capture_output=True, text=True, timeout=3 * LIMIT)
    expect(run.returncode == 0, run.stdout + run.stderr)


@check
def node_fetch_http_and_ws(server):
    node(server, "node.cjs")


@check
def chromium(server):
    if OPTIONS.chromium == "none":
        raise Skip("no Chromium, and not root on Debian to install it")
    node(server, "browser.cjs", OPTIONS.chromium)


# Input that no client sends


@check
def garbage_gets_an_answer_or_a_close(server):
    hello = bytes.fromhex("16030100c8010000c40303") + bytes(200)
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    for name, input_bytes, wanted in [
        ("garbage", b"\x00\xff\xfe garbage\r\n\r\n", b"HTTP/1.1 400 "),
        ("TLS hello", hello, b"HTTP/1.1 400 "),
        ("HTTP/2 preface", preface, b"HTTP/1.1 505 "),
        ("bare LF", b"GET / HTTP/1.1\nHost: x\n\n", b"HTTP/1.1 400 "),
        ("both framings", b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"HTTP/1.1 400 "),
        ("endless head", b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-Filler: y\r\n" * 100_000, b"HTTP/1.1 431 "),
    ]:
        with server.socket() as sock:
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                sock.sendall(input_bytes)
            answer = rest(sock)
            expect(answer.startswith(wanted), f"{name}: {answer[:200]!r}")
    equal(curl(server.url + "/hello"), b"hello, world\n")


@check
def half_closed_peer_gets_its_answer(server):
    with server.socket() as sock:
        sock.sendall(b"GET /bytes/300000 HTTP/1.1\r\nHost: x\r\n\r\n")
        sock.shutdown(socket.SHUT_WR)
        head, _, content = rest(sock).partition(b"\r\n\r\n")
        expect(head.startswith(b"HTTP/1.1 200 "), head)
        equal(len(content), 300_000)
    with server.socket() as sock:
        sock.shutdown(socket.SHUT_WR)
        equal(rest(sock), b"")
    with server.socket() as sock:
        sock.sendall(b"GET /hel")
        sock.shutdown(socket.SHUT_WR)
        answer = rest(sock)
        expect(answer == b"" or answer.startswith(b"HTTP/1.1 400 "), answer)


@check
def killed_and_slow_peers(server):
    # Resets in the middle of a response and of an upload.
    for request in [b"GET /bytes/50000000 HTTP/1.1\r\nHost: x\r\n\r\n",
                    b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000]:
        sock = server.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.sendall(request)
        sock.recv(100)
        sock.close()
    # A request that comes byte by byte, two pipelined ones behind it.
    with server.socket() as sock:
        for byte in b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n":
            sock.sendall(bytes([byte]))
        sock.sendall(b"GET /bytes/5 HTTP/1.1\r\nHost: x\r\n\r\nGET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = rest(sock)
        equal(answer.count(b"HTTP/1.1 200 "), 3)
        equal(answer.count(b"hello, world\n"), 2)
    equal(curl(server.url + "/hello"), b"hello, world\n")


# Our clients


@check
def get_against_python_http_server(server):
    del server
    with tempfile.TemporaryDirectory() as folder:
        data = os.urandom(3_000_000)
        Path(folder, "file.bin").write_bytes(data)

        class Handler(SimpleHTTPRequestHandler):
            def __init__(self, *arguments):
                super().__init__(*arguments, directory=folder)

            def log_message(self, *_):
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
            threading.Thread(target=httpd.serve_forever, daemon=True).start()
            url = f"http://127.0.0.1:{httpd.server_address[1]}"
            for runtime in ("tokio", "std"):
                out = Path(folder, "out.bin")
                run = program("get", url + "/file.bin", "-o", str(out), "-v", "--runtime", runtime)
                equal((run.returncode, run.stdout), (0, b""))
                equal(out.read_bytes(), data)
                expect(b"> GET /file.bin HTTP/1.1" in run.stderr and re.search(rb"< HTTP/1\.[01] 200 OK", run.stderr), run.stderr)
                run = program("get", url + "/", "--runtime", runtime)
                expect(run.returncode == 0 and b"file.bin" in run.stdout, run)
            httpd.shutdown()


@check
def get_against_ourselves(server):
    for runtime in ("tokio", "std"):
        run = program("get", server.url + "/echo", "-d", "some data", "--runtime", runtime)
        equal((run.returncode, run.stdout), (0, b"some data"))
        run = program("get", server.url + "/hello", "-X", "HEAD", "-v", "--runtime", runtime)
        equal((run.returncode, run.stdout), (0, b""))
        run = program("get", server.url + "/bytes/9999999", "--runtime", runtime)
        equal((run.returncode, len(run.stdout)), (0, 9_999_999))
        run = program("get", server.url + "/nowhere", "--runtime", runtime)
        equal(run.returncode, 0)


@check
def get_shows_an_event_stream_as_it_comes(server):
    for runtime in ("tokio", "std"):
        last = publish(server, "before")
        get = subprocess.Popen([OPTIONS.binary, "get", f"{server.url}/feed/events?after={last - 1}", "--runtime", runtime],
                               stdout=subprocess.PIPE, text=True)
        try:
            def event():
                return [get.stdout.readline() for _ in range(3)]

            equal(event(), [f"id: {last}\n", "data: before\n", "\n"])
            publish(server, "meanwhile")
            equal(event(), [f"id: {last + 1}\n", "data: meanwhile\n", "\n"])
            equal(get.poll(), None)
        finally:
            get.kill()
            get.wait(LIMIT)


@check
def trailers_come_back(server):
    with server.socket() as sock:
        sock.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
                     b"5\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n")
        answer = rest(sock)
        expect(answer.endswith(b"5\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n"), answer)


@check
def get_fails_with_a_reason(server):
    del server
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    short = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"
    for runtime in ("tokio", "std"):
        for arguments, code in [
            ([f"http://127.0.0.1:{port}/"], 1),
            (["not a url"], 2),
            (["ftp://127.0.0.1/"], 2),
            (["http://127.0.0.1/", "-H", "no colon"], 2),
            (["http://127.0.0.1/", "-d", "@/nonexistent"], 2),
        ]:
            run = program("get", *arguments, "--runtime", runtime)
            equal((arguments, run.returncode), (arguments, code))
            equal(len(run.stderr.splitlines()), 1)
        for answer in (short, b"SSH-2.0-OpenSSH_9.2\r\n", b""):
            with one_answer(answer) as url:
                run = program("get", url, "--runtime", runtime)
                equal(run.returncode, 1)
                equal(len(run.stderr.splitlines()), 1)


@contextlib.contextmanager
def one_answer(answer):
    """A server that reads something, answers once and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def run():
            sock, _ = listener.accept()
            with sock:
                sock.recv(65536)
                sock.sendall(answer)
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        thread.join(LIMIT)


@check
def ws_against_python_websockets(server):
    del server

    async def handler(ws):
        expect("permessage-deflate" in ws.response.headers["Sec-WebSocket-Extensions"], ws.response.headers)
        await ws.send(f"welcome {ws.subprotocol} {ws.request.headers.get('Origin')} {ws.request.headers.get('X-More')}")
        async for message in ws:
            await ws.send(message.upper())
        ends.append((ws.close_code, ws.close_reason))

    async def run():
        async with serve(handler, "127.0.0.1", 0, subprotocols=["chat"], origins=["http://a.example"]) as ws_server:
            port = ws_server.sockets[0].getsockname()[1]
            for runtime in ("tokio", "std"):
                out = await asyncio.to_thread(
                    program, "ws", f"ws://127.0.0.1:{port}/", "--protocol", "other", "--protocol", "chat",
                    "--origin", "http://a.example", "-H", "X-More: yes", "--runtime", runtime, stdin=b"one\ntwo\nlast without end")
                equal((out.returncode, out.stderr), (0, b""))
                equal(out.stdout, b"welcome chat http://a.example yes\nONE\nTWO\nLAST WITHOUT END\n")
                refused = await asyncio.to_thread(
                    program, "ws", f"ws://127.0.0.1:{port}/", "--origin", "http://b.example", "--runtime", runtime)
                equal(refused.returncode, 1)
                expect(b"403" in refused.stderr, refused.stderr)

    ends = []
    asyncio.run(asyncio.wait_for(run(), LIMIT))
    equal(ends, [(1000, "")] * 2)


# The program itself


@check
def wrong_arguments(server):
    for arguments in [
        ["serve", "--listen", f"127.0.0.1:{server.port}"],
        ["serve", "--listen", "nowhere"],
        ["serve", "--runtime", "other"],
        ["serve", "--unknown"],
        ["tour", "--format", "svg"],
    ]:
        for runtime in ("tokio", "std"):
            more = [] if "--runtime" in arguments or arguments[0] == "tour" else ["--runtime", runtime]
            run = program(*arguments, *more)
            equal((arguments, run.returncode, run.stdout), (arguments, 2, b""))
            equal(len(run.stderr.splitlines()), 1)


@check
def tour_replays(server):
    del server
    for form in ("text", "mermaid", "json"):
        for loss in ("0", "20"):
            one = program("tour", "--seed", "7", "--loss", loss, "--format", form)
            equal((one.returncode, one.stderr), (0, b""))
            equal(program("tour", "--seed", "7", "--loss", loss, "--format", form).stdout, one.stdout)
    expect(program("tour", "--seed", "8", "--loss", "20").stdout != program("tour", "--seed", "7", "--loss", "20").stdout,
           "the seed has no effect")
    for line in program("tour", "--format", "json", "--loss", "20").stdout.splitlines():
        json.loads(line)


def graceful_shutdown(binary, runtime):
    """A response that is under way ends whole, a WebSocket gets 1001, an idle connection closes, the status is 0."""
    server = Server(binary, runtime)

    async def talk():
        idle = server.socket()
        idle.sendall(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
        until(idle, b"hello, world\n")
        running = server.socket()
        running.sendall(b"GET /bytes/30000000 HTTP/1.1\r\nHost: x\r\n\r\n")
        begun = running.recv(1000)
        stream = server.socket()
        stream.sendall(b"GET /feed/stream HTTP/1.1\r\nHost: x\r\n\r\n")
        until(stream, b"\r\n\r\n")
        async with connect(server.ws + "/ws/echo") as ws:
            await ws.send("x")
            await ws.recv()
            ended = asyncio.get_running_loop().run_in_executor(None, server.stop, number)
            try:
                await ws.recv()
            except websockets.ConnectionClosed:
                pass
            equal(ws.close_code, 1001)
            body = await asyncio.to_thread(rest, running)
            equal(len((begun + body).partition(b"\r\n\r\n")[2]), 30_000_000)
            expect((await asyncio.to_thread(rest, stream)).endswith(b"0\r\n\r\n"), "the stream has no last chunk")
            equal(rest(idle), b"")
            equal(await ended, 0)
        for sock in (idle, running, stream):
            sock.close()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.run(asyncio.wait_for(talk(), LIMIT))
        if number == signal.SIGTERM:
            server = Server(binary, runtime)


def main():
    passed, failed, skipped = 0, 0, 0

    def run(name, action):
        nonlocal passed, failed, skipped
        begun = time.monotonic()
        try:
            action()
        except Skip as reason:
            skipped += 1
            print(f"skipped {name}: {reason}", flush=True)
        except Exception as error:  # every failure is shown, and the rest still runs
            failed += 1
            print(f"FAILED  {name}: {type(error).__name__}: {error}", flush=True)
        else:
            passed += 1
            print(f"ok      {name} ({time.monotonic() - begun:.1f} s)", flush=True)

    print(subprocess.run(["curl", "--version"], capture_output=True, text=True).stdout.split(" (")[0],
          "· Python", sys.version.split()[0], "· websockets", websockets.__version__)
    for runtime in ("tokio", "std", "poll"):
        server = Server(OPTIONS.binary, runtime)
        for function in CHECKS:
            if OPTIONS.only in function.__name__:
                run(f"{runtime}: {function.__name__}", lambda function=function: function(server))

        def logs_and_stops():
            equal(server.stop(), 0)
            server.reader.join(LIMIT)
            if not OPTIONS.only:
                expect(any("GET /hello 200" in line for line in server.log), server.log[:5])

        run(f"{runtime}: logs_and_stops", logs_and_stops)
        if OPTIONS.only in "graceful_shutdown":
            run(f"{runtime}: graceful_shutdown", lambda: graceful_shutdown(OPTIONS.binary, runtime))
        if OPTIONS.only in "load":
            run(f"{runtime}: load", lambda: load.check(runtime))
        if OPTIONS.only in "sigterm_under_load":
            run(f"{runtime}: sigterm_under_load", lambda: crowd.sigterm_under_load(runtime))
        # On threads, each connection would have one.
        if OPTIONS.only in "websocket_crowd" and runtime != "std":
            run(f"{runtime}: websocket_crowd", lambda: crowd.websockets(runtime))
        for function in tls.TLS_CHECKS:
            if OPTIONS.only in function.__name__:
                run(f"{runtime}: {function.__name__}", lambda function=function: function(runtime))
        # The readiness loop has no clients.
        for function in tls_origins.TLS_CLIENT_CHECKS if runtime != "poll" else []:
            if OPTIONS.only in function.__name__:
                run(f"{runtime}: {function.__name__}", lambda function=function: function(runtime))
        if OPTIONS.only in "hostile":
            run(f"{runtime}: hostile", lambda: hostile.check(runtime))
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--tunnel", default="none", help="the example tunnel_tokio")
    parser.add_argument("--axum", default="none", help="the example axum_tokio")
    parser.add_argument("--nginx", default="none")
    parser.add_argument("--node", default="no")
    parser.add_argument("--chromium", default="none")
    parser.add_argument("--only", default="", help="run only the checks whose name contains this")
    parser.parse_args(namespace=OPTIONS)
    main()
