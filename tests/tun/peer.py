"""Linux as the server: HTTP/1.1 on port 8000 and WebSocket on port 8001, on all addresses of where it runs.

/bytes/N has N bytes, and with ?close the server closes first. What is sent to /sum is answered with its SHA-256, once the
server has read all of it. The WebSocket sends back what it hears; at `bye` it closes.
"""

import asyncio
import hashlib
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from websockets.asyncio.server import serve

from lab import content


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        length = int(self.path.removeprefix("/bytes/").removesuffix("?close"))
        self.answer(content(length), close=self.path.endswith("?close"))

    def do_PUT(self):
        sum, left = hashlib.sha256(), int(self.headers["Content-Length"])
        while left and (piece := self.rfile.read(min(left, 65536))):
            sum.update(piece)
            left -= len(piece)
        self.answer(sum.hexdigest().encode())

    def answer(self, body, close=False):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        if close:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    address_family = socket.AF_INET6
    daemon_threads = True
    request_queue_size = 128


async def echo(ws):
    async for message in ws:
        if message == "bye":
            await ws.close(1000)
        else:
            await ws.send(message)


async def main():
    threading.Thread(target=Server(("::", 8000), Handler).serve_forever, daemon=True).start()
    async with serve(echo, None, 8001):
        print("ready", flush=True)
        # Until standard input ends.
        await asyncio.to_thread(sys.stdin.read)


asyncio.run(main())
