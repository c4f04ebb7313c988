// undici's WebSocket client (the one of Node itself, newer) against the server named on the command line; the second argument is
// what the server is to agree on.
const assert = require("node:assert/strict");
const { WebSocket } = require("undici");

const [url, extensions] = process.argv.slice(2);

const messages = ["", "hello", "日本語".repeat(10_000), new Uint8Array(0), new Uint8Array(1_000_000).fill(7)];
const got = [];
const ws = new WebSocket(url.replace("http", "ws") + "/ws/echo", ["other", "echo"]);
ws.binaryType = "arraybuffer";
ws.addEventListener("open", () => {
  assert.equal(ws.protocol, "echo");
  assert.equal(ws.extensions, extensions);
  for (const message of messages) ws.send(message);
});
ws.addEventListener("message", ({ data }) => {
  got.push(typeof data === "string" ? data : new Uint8Array(data));
  if (got.length === messages.length) {
    assert.deepEqual(got, messages);
    ws.close(4000, "done");
  }
});
ws.addEventListener("error", ({ error }) => assert.fail(error ?? "WebSocket error"));
ws.addEventListener("close", ({ code, wasClean }) => {
  assert.deepEqual([code, wasClean, got.length], [4000, true, messages.length]);
  process.exit(0);
});
setTimeout(() => assert.fail("not closed in time"), 30_000).unref();
