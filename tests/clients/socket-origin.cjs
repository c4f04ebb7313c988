// A server with the ws package, for our client: a sub-protocol, compression, fragments, Pings. The argument is the port on loopback.
const { WebSocketServer } = require("ws");

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: Number(process.argv[2]),
  perMessageDeflate: { threshold: 16 },
  handleProtocols: (offered) => (offered.has("chat") ? "chat" : false),
});

server.on("connection", (ws) => {
  if (ws.protocol) ws.send(`welcome ${ws.protocol} ${ws.extensions}`);
  ws.on("message", (data) => {
    const text = data.toString();
    if (text === "leave") return ws.close(4002, "enough");
    ws.send(text.toUpperCase());
    if (text.length > 1000) {
      ws.send("frag", { fin: false });
      // A Ping between two fragments; its answer must have the same payload.
      ws.ping("between");
      ws.send("mented", { fin: true });
    }
  });
  ws.on("pong", (data) => {
    if (data.toString() !== "between") ws.close(4003, "a wrong Pong");
  });
});
