"""WebSocket between peers: aiohttp and Node's ws on either side, undici as a client."""

import asyncio
import subprocess

import aiohttp
from aiohttp import WSMsgType, web

from harness import COMPRESSED, HERE, LIMIT, OPTIONS, Skip, check, equal, expect, program
from peers import free_port, running


def in_time(talk):
    return asyncio.run(asyncio.wait_for(talk, LIMIT))


@check
def aiohttp_client(server):
    async def talk():
        async with aiohttp.ClientSession() as session:
            # Both compress, with windows of their own size.
            async with session.ws_connect(server.ws + "/ws/echo", protocols=("other", "echo"), compress=12, max_msg_size=0) as ws:
                equal(ws.protocol, "echo")
                expect(ws.compress > 0, "compression was not agreed on")
                for message in ["", "hello", "αβγ" * 50_000]:
                    await ws.send_str(message)
                    equal(await ws.receive_str(), message)
                for message in [b"", bytes(range(256)), b"x" * 3_000_000]:
                    await ws.send_bytes(message)
                    equal(await ws.receive_bytes(), message)
                await ws.ping(b"there?")
                await ws.close(code=4001, message=b"done")
                equal(ws.close_code, 4001)
            async with session.ws_connect(server.ws + "/ws/echo") as ws:
                expect(not ws.compress, "compression was agreed on without an offer")
                await ws.send_str("as it is " * 100)
                equal(await ws.receive_str(), "as it is " * 100)
            try:
                async with session.ws_connect(server.ws + "/ws/echo", origin="http://elsewhere.example"):
                    raise AssertionError("a foreign origin was let in")
            except aiohttp.WSServerHandshakeError as refused:
                equal(refused.status, 403)

    in_time(talk())


@check
def ws_against_aiohttp(server):
    del server
    ends = []

    async def handler(request):
        ws = web.WebSocketResponse(protocols=("chat",), compress=True)
        await ws.prepare(request)
        expect(ws.compress, "compression was not agreed on")
        await ws.send_str(f"welcome {ws.ws_protocol} {request.headers.get('X-More')}")
        await ws.ping(b"there?")
        async for message in ws:
            expect(message.type == WSMsgType.TEXT, message)
            await ws.send_str(message.data.upper())
        ends.append(ws.close_code)
        return ws

    async def refuse(request):
        del request
        raise web.HTTPUnauthorized

    async def talk():
        site = web.Application()
        site.add_routes([web.get("/", handler), web.get("/closed", refuse)])
        runner = web.AppRunner(site)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        long = b"long " * 10_000
        for runtime in ("tokio", "std"):
            out = await asyncio.to_thread(
                program, "ws", f"ws://127.0.0.1:{port}/", "--protocol", "chat", "-H", "X-More: yes", "--runtime", runtime,
                stdin=b"one\n" + long + b"\n")
            equal((out.returncode, out.stderr), (0, b""))
            equal(out.stdout, b"welcome chat yes\nONE\n" + long.upper() + b"\n")
            refused = await asyncio.to_thread(program, "ws", f"ws://127.0.0.1:{port}/closed", "--runtime", runtime)
            equal(refused.returncode, 1)
            expect(b"401" in refused.stderr, refused.stderr)
        await runner.cleanup()

    in_time(talk())
    equal(ends, [1000] * 2)


@check
def undici_client(server):
    if OPTIONS.node != "yes":
        raise Skip("no Node.js with npm")
    run = subprocess.run(["node", HERE / "undici.cjs", server.url, COMPRESSED], capture_output=True, text=True, timeout=LIMIT)
    expect(run.returncode == 0, run.stdout + run.stderr)


@check
def ws_against_node(server):
    del server
    if OPTIONS.node != "yes":
        raise Skip("no Node.js with npm")
    port = free_port()
    with running(["node", str(HERE / "socket-origin.cjs"), str(port)], port):
        long = b"long " * 10_000
        for runtime in ("tokio", "std"):
            run = program("ws", f"ws://127.0.0.1:{port}/", "--protocol", "other", "--protocol", "chat", "--runtime", runtime,
                          stdin=b"one\n" + long + b"\n")
            equal((run.returncode, run.stderr), (0, b""))
            equal(run.stdout, b"welcome chat permessage-deflate\nONE\n" + long.upper() + b"\nfragmented\n")
            run = program("ws", f"ws://127.0.0.1:{port}/", "--runtime", runtime, stdin=b"leave\n")
            equal(run.returncode, 1)
            expect(b"4002 enough" in run.stderr, run.stderr)
