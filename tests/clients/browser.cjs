// Headless Chromium: the page, then fetch, EventSource and WebSocket from within it. The second argument is the browser, an
// optional third one a file for a picture of the page.
const assert = require("node:assert/strict");
const { chromium } = require("playwright-core");

const [url, executablePath, picture] = process.argv.slice(2);

async function inPage() {
  const results = {};
  results.echo = await (await fetch("/echo", { method: "POST", body: "from a browser" })).text();
  results.ws = await new Promise((resolve, reject) => {
    const ws = new WebSocket(location.href.replace("http", "ws") + "ws/echo", ["echo"]);
    const got = [ws.protocol, ws.extensions];
    ws.binaryType = "arraybuffer";
    ws.onopen = () => {
      got[0] = ws.protocol;
      got[1] = ws.extensions;
      ws.send("text");
      ws.send(new Uint8Array(100_000).fill(5));
    };
    ws.onmessage = ({ data }) => {
      got.push(typeof data === "string" ? data : data.byteLength);
      if (got.length === 4) ws.close(1000, "bye");
    };
    ws.onclose = ({ code, reason, wasClean }) => resolve([...got, code, reason, wasClean]);
    ws.onerror = () => reject(new Error("WebSocket error"));
  });
  results.events = await new Promise((resolve, reject) => {
    const source = new EventSource("/feed/events?after=0");
    source.onmessage = ({ data, lastEventId }) => {
      if (data !== "for the browser\nin two lines") return;
      source.close();
      resolve(Number(lastEventId) > 0);
    };
    source.onerror = () => reject(new Error("EventSource error"));
    fetch("/feed", { method: "POST", body: "for the browser\nin two lines" });
  });
  return results;
}

(async () => {
  const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"];
  const browser = await chromium.launch({ executablePath, args });
  try {
    const page = await browser.newPage({ viewport: { width: 900, height: 1100 } });
    const problems = [];
    page.on("pageerror", (error) => problems.push(String(error)));
    page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
    const response = await page.goto(url + "/");
    assert.equal(response.status(), 200);
    if (picture) await page.screenshot({ path: picture, fullPage: true });
    assert.deepEqual(await page.evaluate(inPage), {
      echo: "from a browser",
      ws: ["echo", "permessage-deflate; server_no_context_takeover; client_no_context_takeover", "text", 100_000, 1000, "", true],
      events: true,
    });
    assert.deepEqual(problems, []);
  } finally {
    await browser.close();
  }
})().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
