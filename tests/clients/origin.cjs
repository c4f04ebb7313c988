// Node's own server, for our client: early hints, trailers, 100 (Continue), a response that the close ends. The argument is the
// port on loopback.
const http = require("node:http");

function answer(req, res) {
  switch (req.url) {
    case "/hints":
      res.writeEarlyHints({ link: "</style.css>; rel=preload" }, () => res.end("hinted"));
      break;
    case "/trailers":
      res.writeHead(200, { Trailer: "X-Sum" });
      for (const piece of ["one", "two", "three"]) res.write(piece);
      res.addTrailers({ "X-Sum": "11" });
      res.end();
      break;
    case "/until-close":
      res.useChunkedEncodingByDefault = false;
      res.shouldKeepAlive = false;
      res.writeHead(200);
      res.end(Buffer.alloc(1_000_000, 7));
      break;
    default:
      req.pipe(res);
  }
}

const server = http.createServer(answer);
server.on("checkContinue", (req, res) => {
  res.writeContinue();
  answer(req, res);
});
server.listen(Number(process.argv[2]), "127.0.0.1");
