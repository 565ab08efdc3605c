/** The HTTP server of the status page as a machine: connections that come, ask, well or badly and in pieces, end, and time. */
import { parseIp } from "../../src/lib/ip.ts";
import { seededRandom } from "../../src/lib/random.ts";
import { parseForm } from "../../src/netstack/http/form.ts";
import { HttpServer, MOST_CONNECTIONS } from "../../src/netstack/http/server.ts";
import { Decisions, type Target } from "../target.ts";

const HOSTS = ["192.168.50.2", "192.168.50.3", "fd12::9"].map((text) => parseIp(text)!);
/** What requests are made of. */
const WORDS = [
  ...["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST /c HTTP/1.1\r\n", "Host: [fd12::1]:80\r\n", "Content-Length: 5\r\n"],
  ...["Transfer-Encoding: chunked\r\n", "X: y\r\n z\r\n", "\r\n", "a=%41", "HEAD http://b/?q HTTP/1.0\r\n"],
];
const METHODS = ["GET", "HEAD", "POST"];
/** No connection lasts longer, whatever comes. */
const LONGEST_MS = 70_000;
const STEPS = 96;

export const http: Target = {
  run(input, seen) {
    const decisions = new Decisions(input);
    const server = new HttpServer(seededRandom(4));
    let now = 1000;
    let open: number[] = [];
    const drain = (): void => {
      for (let q = server.pollQuestion(); q !== undefined; q = server.pollQuestion()) {
        const { method, path, host, content } = q.request;
        if (!path.startsWith("/")) throw new Error(`a path that is none: ${path}`);
        if (host?.includes("/") === true) throw new Error(`a host that is none: ${host}`);
        seen(
          `${METHODS.includes(method) ? method : "other"} ${host === undefined} ${content.length > 0} ${parseForm(content) === undefined}`,
        );
        const length = decisions.byte() << 4;
        if (decisions.below(8) !== 1)
          server.answer(now, q.id, { status: 200, type: "text/plain", content: new Uint8Array(length) });
      }
      for (let t = server.pollTransmit(); t !== undefined; t = server.pollTransmit()) {
        if (t.bytes.length === 0) throw new Error("nothing to send");
        server.sent(now, t.id, decisions.below(4) === 1 ? decisions.byte() % t.bytes.length : t.bytes.length);
      }
      for (let e = server.pollEnding(); e !== undefined; e = server.pollEnding()) {
        seen(e.how);
        const { id, how } = e;
        if (how !== "shutdown") open = open.filter((each) => each !== id);
      }
    };
    const pass = (until: number): void => {
      while (server.pollAt() <= until) {
        now = Math.max(now, server.pollAt());
        server.handleTimeout(now);
        drain();
        if (server.pollAt() <= now && server.pollAt() > 0) throw new Error("what was due is due again");
      }
      now = until;
    };
    for (let steps = 0; decisions.left > 0 && steps < STEPS; steps++) {
      const id = open[decisions.below(Math.max(1, open.length))] ?? 0;
      switch (decisions.below(8)) {
        case 0: {
          const opened = server.open(now, HOSTS[decisions.below(HOSTS.length)]!);
          if (opened > 0) open.push(opened);
          break;
        }
        case 1:
          pass(now + decisions.uint16());
          break;
        case 2:
          server.handle(now, id, decisions.take(decisions.byte()));
          break;
        case 3:
          server.handleFinished(id);
          break;
        case 4:
          server.handleWritable(id);
          break;
        case 5:
          if (decisions.below(4) !== 1) break;
          server.handleEnd(id);
          open = open.filter((each) => each !== id);
          break;
        default: {
          const word = WORDS[decisions.below(WORDS.length)]!;
          server.handle(
            now,
            id,
            Uint8Array.from(word, (c) => c.charCodeAt(0)),
          );
        }
      }
      drain();
      if (server.count > MOST_CONNECTIONS) throw new Error(`${server.count} connections`);
    }
    pass(now + LONGEST_MS);
    if (server.count > 0) throw new Error("a connection without end");
    const { counts, drops } = server.counters;
    for (const name of Object.keys({ ...counts.snapshot(), ...drops.snapshot() })) seen(name);
  },
};
