import { expect, test } from "bun:test";
import type { PullConfig } from "../config/types.ts";
import { type ControlMessage, parseControlMessage } from "../control/message.ts";
import { PushUpdate } from "./update.ts";

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
  const update = new PushUpdate(NOW);
  let complete: boolean | string = false;
  for (const message of parts(...[texts].flat())) complete = update.add(message, pull);
  return typeof complete === "string" ? complete : update.options;
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
  const update = new PushUpdate(NOW);
  const [message] = parts("PUSH_UPDATE,?dev tun,-?cipher,-route 10.1.0.0,?tun-mtu 1400");
  expect(update.add(message!, PULL)).toBe(true);
  expect(update.options).toEqual([...NOW, "tun-mtu 1400"]);
  expect(update.ignored.map((text) => text.split(":")[0])).toEqual(["?dev tun", "-?cipher", "-route 10.1.0.0"]);
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
  const update = new PushUpdate(["redirect-gateway def1"]);
  expect(update.add(parts("PUSH_UPDATE,redirect-private")[0]!, PULL)).toBe(true);
  expect(update.options).toEqual(["redirect-private"]);
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

test("a server cannot let the options grow without end", () => {
  const update = new PushUpdate(NOW);
  const many = Array.from({ length: 1000 }, (_, n) => `route 10.0.${n & 255}.0`).join(",");
  const [message] = parts(`PUSH_UPDATE,${many},push-continuation 2`);
  const results = [1, 2, 3, 4, 5].map(() => update.add(message!, PULL));
  expect(results.slice(0, 4)).toEqual([false, false, false, false]);
  expect(results[4]).toBe("the server pushed too many options");
});
