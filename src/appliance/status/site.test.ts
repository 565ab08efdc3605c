import { beforeEach, describe, expect, test } from "bun:test";
import { CLIENTS, clientReport, statusReport } from "../../../test/support/status-report.ts";
import { parseIp } from "../../lib/ip.ts";
import { type HttpRequest, RequestReader } from "../../netstack/http/request.ts";
import type { HttpResponse } from "../../netstack/http/response.ts";
import type { ClientCommands } from "../vpn-end.ts";
import type { StatusReport } from "./report.ts";
import { type SiteSettings, StatusSite } from "./site.ts";

const TOKEN = "0123456789abcdef0123456789abcdef";
const FROM = parseIp("192.168.50.2")!;

let report: StatusReport;
let commands: ClientCommands | undefined;
/** What the server was told. */
let told: string[];
let logged: string[];
let site: StatusSite;
let unixSeconds = 1_795_925_070;
/** The question for a password that is looked into. */
let verdict: ((isRight: boolean) => void) | undefined;

beforeEach(() => {
  report = statusReport();
  told = [];
  logged = [];
  verdict = undefined;
  commands = {
    kill: (_now, who, message) => told.push(`kill ${who} ${message}`) && (who === "nobody" ? 0 : 1),
    pushUpdate: (_now, who, options) => told.push(`push ${who} ${options.join("|")}`) && 2,
    clients: () => CLIENTS,
    passwords: {
      verify: (hash, password, done) => {
        verdict = (isRight) => done(0, isRight);
        told.push(`verify ${hash} ${password}`);
        return () => {};
      },
    },
  };
  newSite({ commands: true, users: undefined }, "lan");
});

function newSite(settings: SiteSettings, domain?: string): void {
  site = new StatusSite(
    {
      hostname: "Morgana",
      domain,
      addresses: [parseIp("192.168.50.1")!, parseIp("fd12::1")!],
      report: () => report,
      commands: () => commands,
      token: TOKEN,
      log: { enabled: () => true, write: (level, event, text) => void logged.push(`${level} ${event} ${text}`) },
      unixSeconds: () => unixSeconds,
    },
    settings,
  );
}

function requestOf(text: string): HttpRequest {
  const request = new RequestReader().feed(new TextEncoder().encode(text));
  if (request === undefined || typeof request === "number") throw new Error(`no request: ${request}`);
  return request;
}

/** The answers to a request so far. */
function answers(text: string): HttpResponse[] {
  const all: HttpResponse[] = [];
  site.answer(0, { id: 1, from: FROM, request: requestOf(text) }, (_now, response) => void all.push(response));
  return all;
}
function answer(text: string): HttpResponse & { readonly text: string } {
  const [response] = answers(text);
  if (response === undefined) throw new Error("no answer");
  return { ...response, text: new TextDecoder().decode(response.content) };
}
const get = (path: string, host = "192.168.50.1", method = "GET") =>
  answer(`${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
const HOST = "Host: 192.168.50.1:80";
const BY_PROGRAM = [HOST, "Morgana-Command: 1"];
const post = (body: string, fields: readonly string[] = BY_PROGRAM) =>
  `POST /commands HTTP/1.1\r\n${fields.join("\r\n")}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
const field = ({ fields = [] }: HttpResponse, name: string) => fields.find(([key]) => key === name)?.[1];
const drops = () => site.drops.snapshot();

describe("pages", () => {
  test("HTML that runs nothing, loads nothing, cannot be framed and is not kept", () => {
    const page = get("/");
    expect([page.status, page.type]).toEqual([200, "text/html; charset=utf-8"]);
    const policy = field(page, "Content-Security-Policy") ?? "";
    expect(policy).toMatch(
      /^default-src 'none'; style-src 'sha256-[\w+/=]{44}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'$/,
    );
    const style = /<style>([\s\S]*)<\/style>/.exec(page.text)![1]!;
    expect(policy).toContain(new Bun.CryptoHasher("sha256").update(style).digest("base64"));
    expect(page.text).not.toMatch(/<script|<img|<link|src=|style=|\son\w+=|@import|url\(/i);
    for (const path of ["/", "/status.json", "/metrics", "/health", "/commands", "/nothing"]) {
      expect(field(get(path), "Cache-Control")).toBe("no-store");
      expect(field(get(path), "X-Content-Type-Options")).toBe("nosniff");
      expect(field(get(path), "Access-Control-Allow-Origin")).toBeUndefined();
    }
    expect(field(page, "X-Frame-Options")).toBe("DENY");
  });

  test("JSON is the report", () => {
    const { type, text } = get("/status.json");
    expect([type, JSON.parse(text)]).toEqual(["application/json", report]);
  });

  test("health is 200 while it is up, else 503 with the reason in words", () => {
    expect([get("/health").status, get("/health").text]).toEqual([200, "ok: the server listens\n"]);
    report = { ...report, role: "client" };
    expect(get("/health").text).toBe("ok: the tunnel is up\n");
    report = { ...report, up: false, state: "connecting", reason: "nobody answers at 203.0.113.1:1194" };
    expect([get("/health").status, get("/health").text]).toEqual([
      503,
      "the tunnel is not there: connects; nobody answers at 203.0.113.1:1194\n",
    ]);
  });

  test("others there are none, and each has its methods", () => {
    for (const path of ["/x", "/__proto__", "/constructor", "//", "/status.json/", "/%2e"])
      expect(get(path).status).toBe(404);
    for (const path of ["/", "/metrics"]) {
      const refused = get(path, undefined, "POST");
      expect([refused.status, field(refused, "Allow")]).toEqual([405, "GET, HEAD"]);
    }
    expect(field(get("/commands", undefined, "OPTIONS"), "Allow")).toBe("GET, HEAD, POST");
    expect(drops()).toEqual({ "unknown-page": 6, "wrong-method": 3 });
  });
});

describe("whom it is for", () => {
  test("this router, by its addresses and names", () => {
    for (const host of [
      "192.168.50.1",
      "192.168.50.1:80",
      "[fd12::1]",
      "[FD12:0::1]:8080",
      "morgana",
      "MORGANA.",
      "morgana.lan:80",
    ])
      expect(get("/", host).status).toBe(200);
    expect(answer("GET / HTTP/1.0\r\n\r\n").status).toBe(200);
  });

  test("not a name of somebody else's that leads here: DNS rebinding gets nothing, commands included", () => {
    const others = [
      "evil.example",
      "192.168.50.1.evil.example",
      "morgana.evil.example",
      "192.168.50.2",
      "lan",
      "localhost",
    ];
    for (const host of others) {
      expect(get("/status.json", host).status).toBe(421);
      expect(answer(post("command=kill&client=ann", [`Host: ${host}`, "Morgana-Command: 1"])).status).toBe(421);
    }
    expect(get("http://evil.example/").status).toBe(421);
    expect(drops()).toEqual({ "wrong-host": 13 });
    newSite({ commands: true, users: undefined });
    expect(get("/", "morgana.lan").status).toBe(421);
    expect(told).toEqual([]);
  });
});

describe("commands", () => {
  test("are off unless the settings turn them on: nothing is done, and there is no page of them", () => {
    newSite({ commands: false, users: undefined });
    expect(answer(post("command=kill&client=ann")).status).toBe(403);
    expect([get("/commands").status, get("/").text.includes("/commands")]).toEqual([403, false]);
    site.take({ commands: true, users: undefined });
    expect([get("/commands").status, get("/").text.includes("/commands")]).toEqual([200, true]);
    commands = undefined;
    expect([get("/commands").status, answer(post("command=kill&client=ann")).status]).toEqual([403, 403]);
    expect([told, drops()]).toEqual([[], { "commands-off": 2 }]);
  });

  test("of a program: with the field that no page of another site can send", () => {
    const done = answer(post("command=kill&client=ann"));
    expect([done.status, done.text]).toEqual([200, "kill (ann): 1 client told to go\n"]);
    expect(told).toEqual(["kill ann RESTART"]);
    expect(logged).toEqual(["info status.command kill (ann): 1 client told to go"]);
    expect(answer(post("command=kill&client=nobody")).status).toBe(404);
    expect(answer(post("command=kill&client=ann", [HOST])).status).toBe(403);
    expect(drops()).toEqual({ "cross-site": 1 });
  });

  test("of the page: with its token, and what came of it is on the page", () => {
    const page = get("/commands").text;
    const token = /name="token" value="(\w+)"/.exec(page)![1]!;
    expect(page).toContain('<option value="3 ann">');
    const fields = [HOST, "Origin: http://192.168.50.1:80", "Sec-Fetch-Site: same-origin"];
    const done = answer(post(`token=${token}&command=kill&who=3+ann&halt=yes`, fields));
    expect([done.status, field(done, "Location")]).toEqual([303, "/commands"]);
    expect(told).toEqual(["kill 3 HALT"]);
    expect(get("/commands").text).toContain("kill (id 3): 1 client told to go");
  });

  test("not of a page of another site: without the token, with a wrong one, from another origin, or by a field that a browser would have to ask for", () => {
    const kill = "command=kill&client=ann";
    for (const [body, ...fields] of [
      [kill],
      [`token=&${kill}`],
      [`token=${TOKEN.replace("0", "1")}&${kill}`],
      [`token=${TOKEN}x&${kill}`],
      [`token=${TOKEN}&${kill}`, "Origin: http://evil.example"],
      [`token=${TOKEN}&${kill}`, "Origin: null"],
      [`token=${TOKEN}&${kill}`, "Origin: https://192.168.50.1:80"],
      [`token=${TOKEN}&${kill}`, "Sec-Fetch-Site: cross-site"],
      [`token=${TOKEN}&${kill}`, "Sec-Fetch-Site: same-site"],
      [kill, "Morgana-Command: 1", "Origin: http://evil.example"],
      [kill, "Morgana-Command: 1", "Sec-Fetch-Site: cross-site"],
    ] as const)
      expect(answer(post(body, [HOST, ...fields])).status).toBe(403);
    expect([told, drops()]).toEqual([[], { "cross-site": 11 }]);
  });

  test("with a file of users: of who has a password there, found out beside the loop; the page asks for it", () => {
    newSite({ commands: true, users: new Map([["eve", "$hash"]]) });
    expect(get("/commands").text).toContain('name="password" type="password"');
    const all = answers(post("command=kill&client=ann&user=eve&password=x%20y"));
    expect([all, told]).toEqual([[], ["verify $hash x y"]]);
    verdict!(true);
    expect([all[0]?.status, told[1]]).toEqual([200, "kill ann RESTART"]);
    const refused = answers(post("command=kill&client=ann&user=nobody&password=x"));
    expect(told[2]).toBe("verify undefined x");
    verdict!(false);
    expect([refused[0]?.status, told.length]).toEqual([403, 3]);
    const without = answers(post("command=kill&client=ann"));
    verdict!(false);
    expect([without[0]?.status, told.slice(3)]).toEqual([403, ["verify undefined "]]);
    expect(logged.join("\n")).not.toMatch(/x y/);
    expect(drops()).toEqual({ "wrong-login": 2 });
  });

  test("a password that is found right when other settings have been read gives none: commands are off, the user is gone, another server runs", () => {
    const users = new Map([["eve", "$hash"]]);
    const server = commands!;
    for (const change of [
      () => site.take({ commands: false, users }),
      () => site.take({ commands: true, users: new Map() }),
      () => site.take({ commands: true, users: new Map([["eve", "$other"]]) }),
      () => (commands = { ...server }),
    ]) {
      commands = server;
      newSite({ commands: true, users });
      const all = answers(post("command=kill&client=ann&user=eve&password=x"));
      change();
      verdict!(true);
      expect([all[0]?.status, drops()]).toEqual([403, { "commands-off": 1 }]);
    }
    expect(told.filter((what) => !what.startsWith("verify"))).toEqual([]);
  });

  test("who tries too many passwords is not heard for a while", () => {
    newSite({ commands: true, users: new Map([["eve", "$hash"]]) });
    const guess = () => answers(post("command=kill&client=ann&user=eve&password=x"));
    for (let i = 0; i < 10; i++) {
      guess();
      verdict!(false);
    }
    expect(guess()[0]?.status).toBe(429);
    expect([told.length, drops()]).toEqual([10, { "wrong-login": 10, "login-blocked": 1 }]);
    unixSeconds += 60;
    expect(guess()).toEqual([]);
  });

  test("passwords that are being looked into count as wrong ones until they are found right, or are not looked into", () => {
    newSite({ commands: true, users: new Map([["eve", "$hash"]]) });
    const guess = () => answers(post("command=kill&client=ann&user=eve&password=x"));
    const verdicts: ((isRight: boolean) => void)[] = [];
    for (let i = 0; i < 10; i++) {
      expect(guess()).toEqual([]);
      verdicts.push(verdict!);
    }
    expect(guess()[0]?.status).toBe(429);
    expect([told.length, drops()]).toEqual([10, { "login-blocked": 1 }]);
    for (const verdict of verdicts) verdict(false);
    expect(guess()[0]?.status).toBe(429);
    // More than there are tries.
    newSite({ commands: true, users: new Map([["eve", "$hash"]]) });
    for (let i = 0; i < 40; i++) {
      const all = guess();
      verdict!(true);
      expect(all[0]?.status).toBe(200);
    }
    newSite({ commands: true, users: new Map([["eve", "$hash"]]) });
    commands = { ...commands!, passwords: { verify: () => undefined } };
    for (let i = 0; i < 40; i++) expect(guess()[0]?.status).toBe(503);
  });

  test("one that fails is answered and logged, also behind a password, and ends nothing else", () => {
    commands = {
      ...commands!,
      kill: () => {
        throw new Error("broken");
      },
    };
    expect(answer(post("command=kill&client=ann")).status).toBe(500);
    newSite({ commands: true, users: new Map([["eve", "$hash"]]) });
    const all = answers(post("command=kill&client=ann&user=eve&password=x"));
    verdict!(true);
    expect(all.map(({ status }) => status)).toEqual([500]);
    expect(logged).toEqual(Array(2).fill(expect.stringMatching(/^error internal\.error Error: broken/)));
  });

  test("where too many passwords wait it says so", () => {
    newSite({ commands: true, users: new Map() });
    commands = { ...commands!, passwords: { verify: () => undefined } };
    expect(answer(post("command=kill&client=ann&user=eve&password=x")).status).toBe(503);
  });
});

test("what clients, hosts, servers and profiles say is text: in HTML, in labels, in JSON", () => {
  const bad = `"><script>alert('1')</script>&\n\\\u202e\u0000`;
  report = statusReport({
    ...{ hostname: bad, reason: bad, openUrl: `javascript:${bad}`, problems: [bad], warnings: [bad] },
    clients: [clientReport({ name: bad, version: bad, cipher: bad })],
    lan: {
      interface: bad,
      addresses: [bad],
      leases: [{ address: bad, mac: bad, name: bad, until: bad }],
      leaseCount: 1,
    },
    wan: { interface: bad, up: true, addresses: [bad] },
    tunnel: {
      ...{ server: bad, protocol: "udp", address: bad, address6: bad, peer: bad },
      cipher: bad,
      mtu: 1500,
      routes: 1,
      dns: [bad],
    },
  });
  for (const path of ["/", "/commands"]) {
    const { text } = get(path);
    expect(text).not.toMatch(/<script|alert\('|[\u202e\0]|href="javascript/);
    expect(text).toContain("&#60;script&#62;");
  }
  report = { ...report, openUrl: `https://login.example/?a=1&b="x"` };
  expect(get("/").text).toContain('<a href="https://login.example/?a=1&#38;b=&#34;x&#34;" rel="noreferrer noopener">');
  const line = get("/metrics")
    .text.split("\n")
    .find((row) => row.startsWith("morgana_client_sent_bytes_total{"));
  expect(line).toBe(`morgana_client_sent_bytes_total{id="3",name="\\"><script>alert('1')</script>&?\\\\??"} 2048`);
  expect(JSON.parse(get("/status.json").text)).toEqual(report);
});
