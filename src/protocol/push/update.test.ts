import { expect, test } from "bun:test";
import type { PullConfig } from "../config/types.ts";
import { type ControlMessage, parseControlMessage } from "../control/message.ts";
import { PushUpdates } from "./update.ts";

const PULL: PullConfig = { routeNoPull: false, filters: [] };
const NOW = [
  "ifconfig 10.8.0.2 255.255.255.0",
  "route 10.1.0.0",
  "route 10.2.0.0",
  "dhcp-option DNS 10.8.0.1",
  "ping 10",
];

const parts = (...texts: string[]) =>
  texts.map(parseControlMessage) as (ControlMessage & { readonly kind: "push-update" })[];

/** The options after an update, or what is wrong with it. */
function updated(texts: string | readonly string[], pull = PULL): readonly string[] | string {
  const updates = new PushUpdates(NOW);
  let problem: string | undefined;
  for (const message of parts(...[texts].flat())) problem ??= updates.add(message, pull);
  return problem ?? updates.options;
}

const without = (...names: string[]): string[] => NOW.filter((option) => !names.includes(option.split(" ")[0]!));

test("what OpenVPN's test_push_update_msg.c takes", () => {
  expect(updated("PUSH_UPDATE,dhcp-option DNS 8.8.8.8, route 0.0.0.0 0.0.0.0 10.10.10.1")).toEqual([
    ...without("dhcp-option", "route"),
    "dhcp-option DNS 8.8.8.8",
    "route 0.0.0.0 0.0.0.0 10.10.10.1",
  ]);
  expect(updated("PUSH_UPDATE, -?dns, route something, ?dhcp-option DNS 8.8.8.8")).toEqual([
    ...without("dhcp-option", "route"),
    "route something",
    "dhcp-option DNS 8.8.8.8",
  ]);
  expect(updated("PUSH_UPDATE,-dhcp-option, dhcp-option DNS 1.1.1.1,dhcp-option DNS 2.2.2.2")).toEqual([
    ...without("dhcp-option"),
    "dhcp-option DNS 1.1.1.1",
    "dhcp-option DNS 2.2.2.2",
  ]);
  expect(updated("PUSH_UPDATE")).toEqual(NOW);
});

test("what it refuses", () => {
  for (const bad of [
    "?-dns",
    "-?-dns",
    "dev tun",
    "-",
    "?",
    "-?",
    "--route",
    "routes 1",
    "cipher AES-128-GCM",
    "peer-id 3",
  ])
    expect(updated(`PUSH_UPDATE,route 10.9.0.0,${bad}`)).toContain("cannot be changed while the tunnel is up");
  for (const other of ["PUSH_UPDATEerr,route 10.9.0.0", "PUSH_UPDATE ,route 10.9.0.0"])
    expect(parseControlMessage(other).kind).toBe("unknown");
});

test("what cannot be changed and need not be is passed over", () => {
  const updates = new PushUpdates(NOW);
  const [message] = parts("PUSH_UPDATE,?dev tun,-?cipher,-route 10.1.0.0,keepalive 5 20,?tun-mtu 1400");
  expect(updates.add(message!, PULL)).toBeUndefined();
  expect(updates.options).toEqual([...NOW, "tun-mtu 1400"]);
  const ignored = ["?dev tun", "-?cipher", "-route 10.1.0.0", "keepalive 5 20"];
  expect(updates.ignored.map((text) => text.split(":")[0])).toEqual(ignored);
  expect(updates.ignored.at(-1)).toContain("ping and ping-restart instead");
});

test("several messages are one update: the former routes go once", () => {
  const three = (from: number): string => [0, 1, 2].map((n) => `route 10.${from + n}.0.0`).join(",");
  const texts = [
    `${three(10)},push-continuation 2`,
    `${three(13)},push-continuation 2`,
    `${three(16)},push-continuation 1`,
  ];
  expect(updated(texts.map((text) => `PUSH_UPDATE,${text}`))).toEqual([
    ...without("route"),
    ...Array.from({ length: 9 }, (_, n) => `route 10.${10 + n}.0.0`),
  ]);
});

test("redirect-private and redirect-gateway take the place of each other", () => {
  const updates = new PushUpdates(["redirect-gateway def1"]);
  expect(updates.add(parts("PUSH_UPDATE,redirect-private")[0]!, PULL)).toBeUndefined();
  expect(updates.options).toEqual(["redirect-private"]);
});

test("pull-filter and route-nopull hold for updates too, and compare without the marks in front", () => {
  const filters = [{ action: "ignore", prefix: "route 10.9" }] as const;
  expect(updated("PUSH_UPDATE,?route 10.9.0.0,tun-mtu 1400", { routeNoPull: false, filters })).toEqual([
    ...NOW,
    "tun-mtu 1400",
  ]);
  expect(updated("PUSH_UPDATE,-route,-?dhcp-option", { routeNoPull: true, filters: [] })).toEqual(NOW);
  expect(
    updated("PUSH_UPDATE,route 10.9.0.0", { routeNoPull: false, filters: [{ action: "reject", prefix: "route" }] }),
  ).toContain("pull-filter reject");
});

const repeated = (count: number, item: string): string => new Array(count).fill(item).join(",");
const TOO_MANY = "the server pushed too many options";

/** What each part is answered with. */
function answers(...texts: string[]): (string | undefined)[] {
  const updates = new PushUpdates(NOW);
  return parts(...texts.map((text) => `PUSH_UPDATE,${text}`)).map((message) => updates.add(message, PULL));
}

test("a server cannot let the options grow without end: not in one update, not by one after the other", () => {
  const routes = repeated(3000, "route 10.0.0.0");
  expect(answers(`${routes},push-continuation 2`, routes)).toEqual([undefined, TOO_MANY]);
  expect(answers(routes, repeated(3000, "dhcp-option DNS 10.8.0.1"))).toEqual([undefined, TOO_MANY]);
  expect(answers(routes, routes, routes, "-route", repeated(3000, "dns x"))).toEqual(new Array(5).fill(undefined));
  const long = repeated(100, `route ${"1".repeat(1000)}`);
  expect(answers(long, long, repeated(300, `dns ${"1".repeat(1000)}`))).toEqual([undefined, undefined, TOO_MANY]);
});

test("an update of parts without end is refused, and what was passed over is kept for its last part only", () => {
  const updates = new PushUpdates(NOW);
  const [part] = parts(`PUSH_UPDATE,${repeated(1000, "?a")},push-continuation 2`);
  const problems = [1, 2, 3, 4].map(() => updates.add(part!, PULL));
  expect([problems, updates.ignored.length, updates.isComplete]).toEqual([new Array(4).fill(undefined), 1000, false]);
  expect(updates.add(part!, PULL)).toBe(TOO_MANY);
});

test("what takes options away costs the same however many there are", () => {
  const updates = new PushUpdates(repeated(4000, "route 10.0.0.0").split(","));
  const [part] = parts(`PUSH_UPDATE,${repeated(3000, "-dns")}`);
  const start = performance.now();
  for (let i = 0; i < 20; i++) expect(updates.add(part!, PULL)).toBeUndefined();
  // Each of the 60,000 with a look at each of the 4,000 would take half a minute.
  expect(performance.now() - start).toBeLessThan(3000);
});
