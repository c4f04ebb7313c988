// Node's own clients (fetch, http, EventSource-like reading) and the ws package against the server named on the command line.
const assert = require("node:assert/strict");
const http = require("node:http");
const WebSocket = require("ws");

const url = process.argv[2];

async function fetches() {
  assert.equal(await (await fetch(url + "/hello")).text(), "hello, world\n");
  const body = "ä".repeat(100_000);
  assert.equal(await (await fetch(url + "/echo", { method: "POST", body })).text(), body);
  const stream = new ReadableStream({
    start(controller) {
      for (let n = 0; n < 50; n++) controller.enqueue(new Uint8Array(10_000).fill(n));
      controller.close();
    },
  });
  const back = await (await fetch(url + "/echo", { method: "POST", body: stream, duplex: "half" })).arrayBuffer();
  assert.equal(back.byteLength, 500_000);
  assert.equal((await fetch(url + "/hello", { method: "HEAD" })).headers.get("content-length"), "13");
  assert.equal((await fetch(url + "/nowhere")).status, 404);
}

function request(agent, method, path, body) {
  return new Promise((resolve, reject) => {
    const req = http.request(url + path, { method, agent }, (res) => {
      const pieces = [];
      res.on("data", (piece) => pieces.push(piece));
      res.on("end", () => resolve({ res, text: Buffer.concat(pieces).toString(), reused: req.reusedSocket }));
    });
    req.on("error", reject);
    req.end(body);
  });
}

async function requests() {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  assert.equal((await request(agent, "GET", "/hello")).text, "hello, world\n");
  const second = await request(agent, "POST", "/echo", "again");
  assert.equal(second.text, "again");
  assert.ok(second.reused, "the connection is kept");
  agent.destroy();
}

// 100 (Continue), trailers both ways, an upgrade by hand, and what is sent right behind it.
async function further() {
  const { hostname, port } = new URL(url);
  const text = await new Promise((resolve, reject) => {
    let continued = false;
    const headers = { Expect: "100-continue", "Transfer-Encoding": "chunked", Trailer: "X-Sum", TE: "trailers" };
    const req = http.request({ hostname, port, path: "/echo", method: "POST", headers }, (res) => {
      const pieces = [];
      res.on("data", (piece) => pieces.push(piece));
      res.on("end", () => resolve([continued, Buffer.concat(pieces).toString(), res.trailers["x-sum"]]));
    });
    req.on("continue", () => {
      continued = true;
      req.write("one ");
      req.addTrailers({ "X-Sum": "7" });
      req.end("two");
    });
    req.on("error", reject);
    req.flushHeaders();
  });
  assert.deepEqual(text, [true, "one two", "7"]);

  await new Promise((resolve, reject) => {
    const headers = {
      Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    };
    const req = http.request({ hostname, port, path: "/ws/echo", headers });
    req.on("upgrade", (res, socket, head) => {
      assert.equal(res.statusCode, 101);
      assert.equal(res.headers["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
      assert.equal(head.length, 0);
      // An empty masked close frame, which comes back unmasked.
      socket.on("data", (data) => {
        assert.equal(data[0], 0x88);
        socket.end();
        resolve();
      });
      socket.write(Buffer.from([0x88, 0x80, 1, 2, 3, 4]));
    });
    req.on("response", (res) => reject(new Error(`status ${res.statusCode}`)));
    req.on("error", reject);
    req.end();
  });
}

function socket() {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(url.replace("http", "ws") + "/ws/echo", ["echo"], { perMessageDeflate: true });
    const messages = ["", "hello", "日本語".repeat(10_000), Buffer.alloc(0), Buffer.alloc(1_000_000, 7)];
    const got = [];
    ws.on("open", () => {
      assert.equal(ws.protocol, "echo");
      assert.equal(ws.extensions, "permessage-deflate");
      for (const message of messages) ws.send(message);
      ws.send("frag", { fin: false });
      ws.send("mented", { fin: true });
      ws.ping("are you there");
    });
    let ponged = false;
    ws.on("pong", (data) => (ponged = data.toString() === "are you there"));
    ws.on("message", (data, binary) => {
      got.push(binary ? data : data.toString());
      if (got.length === messages.length + 1) {
        assert.deepEqual(got, [...messages, "fragmented"]);
        ws.close(4000, "done");
      }
    });
    ws.on("close", (code, reason) => {
      try {
        // The code comes back; a reason need not (RFC 6455 5.5.1).
        assert.deepEqual([code, reason.toString(), ponged], [4000, "", true]);
        resolve();
      } catch (error) {
        reject(error);
      }
    });
    ws.on("error", reject);
  });
}

(async () => {
  await fetches();
  await requests();
  await further();
  await socket();
})().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
