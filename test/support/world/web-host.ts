/**
 * The web host behind the VPN server: `bun web-host.ts`. On TCP 8080: GET /bytes/N (the first N bytes of the content), GET /ping ("pong"),
 * GET /whoami (the address that was asked from), POST /digest (the body's SHA-256); UDP port 7 echoes, and its answers may be fragmented.
 */
import { content, digest } from "./content.ts";
import { PMTUDISC_DONT, UdpSocket } from "./sockets.ts";

const PORT = 8080;

if (Bun.isMainThread) {
  const echo = Promise.withResolvers<unknown>();
  new Worker(import.meta.path).onmessage = echo.resolve;
  Bun.serve({
    port: PORT,
    hostname: "0.0.0.0",
    maxRequestBodySize: 1 << 30,
    idleTimeout: 120,
    async fetch(request, server) {
      const path = new URL(request.url).pathname;
      if (path === "/whoami") return new Response(server.requestIP(request)?.address);
      if (path === "/ping") return new Response("pong");
      if (path === "/digest") return new Response(digest(await request.bytes()));
      const length = Number(/^\/bytes\/(\d{1,9})$/.exec(path)?.[1] ?? Number.NaN);
      return Number.isNaN(length) ? new Response("no such page", { status: 404 }) : new Response(content(length));
    },
  });
  await echo.promise;
  console.log("ready");
} else {
  const echo = new UdpSocket(PMTUDISC_DONT, 0);
  echo.bind(7);
  postMessage("bound");
  for (;;) {
    const got = echo.receive();
    if (typeof got !== "number") echo.send(got.data, got.from);
  }
}
