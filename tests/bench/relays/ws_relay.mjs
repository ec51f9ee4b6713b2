// The `ws` README's server and client, back to back. Compression is off in its server by default;
// its client offers it, and this upstream declines.
import WebSocket, { WebSocketServer } from "ws";

const [port, upstreamUrl] = process.argv.slice(2);
const server = new WebSocketServer({ host: "127.0.0.1", port: Number(port) });

server.on("connection", (browser) => {
  const upstream = new WebSocket(upstreamUrl);
  const early = [];

  browser.on("message", (data, isBinary) => {
    if (upstream.readyState === WebSocket.OPEN) upstream.send(data, { binary: isBinary });
    else if (upstream.readyState === WebSocket.CONNECTING) early.push([data, isBinary]);
  });
  upstream.on("open", () => {
    for (const [data, isBinary] of early.splice(0)) upstream.send(data, { binary: isBinary });
  });
  upstream.on("message", (data, isBinary) => browser.send(data, { binary: isBinary }));

  browser.on("close", () => upstream.close());
  upstream.on("close", () => browser.close());
  browser.on("error", () => upstream.terminate());
  upstream.on("error", () => browser.terminate());
});
