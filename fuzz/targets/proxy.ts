/** What proxies answer: HTTP with logins, SOCKS 5 for a stream and for datagrams, in pieces, over several connections. */
import { parseIp } from "../../src/lib/ip.ts";
import { seededRandom } from "../../src/lib/random.ts";
import type { ProxyConfig, Remote } from "../../src/protocol/config/types.ts";
import { proxyDialogue } from "../../src/tunnel/proxy/proxy.ts";
import { Decisions, type Target } from "../target.ts";

const ORIGIN = { file: "x", line: 1 };
const ADDRESS = parseIp("192.0.2.1")!;
const PLACE = { host: "proxy.example", port: 3128, origin: ORIGIN };
const HTTP = { ...PLACE, kind: "http", version: "1.1", agent: undefined, headers: [] } as const;
const REMOTE = { host: "vpn.example", port: 443, family: "any", origin: ORIGIN, own: {} } as const;
/** Connections that one attempt may take: the login asked for, and nonces that are stale. */
const MOST_CONNECTIONS = 4;
/** What a dialogue may keep of a proxy that has not finished: no head of HTTP is longer. */
const MOST_WAITING = 16_384;

const hasControl = (text: string): boolean => [...text].some((c) => c < " " || (c >= "\x7f" && c < "\xa0"));

export const proxy: Target = {
  run(input, seen) {
    const decisions = new Decisions(input);
    const login =
      decisions.below(2) === 0 ? undefined : { user: "ann", password: "pw", label: "login.txt", origin: ORIGIN };
    const methods = ["basic", "auto", "auto-nct"] as const;
    const config: ProxyConfig =
      decisions.below(2) === 0
        ? { ...PLACE, kind: "socks", login }
        : { ...HTTP, login, method: methods[decisions.below(3)] as (typeof methods)[number] };
    const remote: Remote = { ...REMOTE, protocol: config.kind === "socks" && decisions.below(2) === 0 ? "udp" : "tcp" };
    const dialogue = proxyDialogue(config, remote, ADDRESS, seededRandom(1));
    dialogue.begin();
    let waiting = new Uint8Array(0);
    for (let connections = 1; decisions.left > 0; ) {
      const piece = decisions.take(1 + decisions.byte());
      waiting = Uint8Array.from([...waiting, ...piece]);
      const step = dialogue.feed(waiting);
      seen(`${config.kind} ${step.kind} ${step.kind === "failed" ? step.text.slice(0, 24) : ""}`);
      if (step.kind === "failed" && hasControl(step.text)) throw new Error("a proxy writes to the terminal");
      if (step.kind === "open" && step.used > waiting.length) throw new Error("more is used than came");
      if (step.kind === "open" || step.kind === "failed") return;
      if (step.kind === "wait" && waiting.length > MOST_WAITING + 256) throw new Error("it waits for ever more");
      if (step.kind !== "wait") waiting = new Uint8Array(0);
      if (step.kind !== "again") continue;
      if (++connections > MOST_CONNECTIONS) throw new Error("it connects without end");
      dialogue.begin();
    }
  },
};
