import { expect, test } from "bun:test";
import { parseConfig } from "../config/parse.ts";
import type { DataConfig, PullConfig } from "../config/types.ts";
import { type Pushed, PushReply, serverMismatches } from "./collect.ts";

function parts(...lines: string[]): [PullConfig, DataConfig] {
  const text = ["client", "dev tun", "remote a.example", `peer-fingerprint ${"00:".repeat(31)}00`, ...lines].join("\n");
  const result = parseConfig({ file: "a", text }, () => undefined, { roles: ["client"] });
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return [result.config.pull as PullConfig, result.config.data];
}
const part = (options: readonly string[], continuation?: 1 | 2) =>
  ({ kind: "push-reply", options, continuation }) as Parameters<PushReply["add"]>[0];

test("parts are one reply; the last one completes it", () => {
  const reply = new PushReply();
  expect(reply.add(part(["peer-id 1"], 2))).toBe(false);
  expect(reply.add(part(["cipher AES-128-GCM"], 1))).toBe(true);
  expect(reply.settle(...parts(), "")).toMatchObject({
    options: ["peer-id 1", "cipher AES-128-GCM"],
    cipher: "AES-128-GCM",
  });
});

test("a reply of parts without an end is refused before it takes much memory", () => {
  for (const option of ["route 10.0.0.0", `setenv x ${"y".repeat(16_000)}`]) {
    const reply = new PushReply();
    let kept = 0;
    let answer: boolean | string = false;
    while (answer === false && kept < 2 ** 22) {
      answer = reply.add({ kind: "push-reply", options: [option], continuation: 2 });
      kept += option.length;
    }
    expect(answer).toBe("the server pushed too many options");
    expect(kept).toBeLessThan(300_000);
  }
});

test("epochs are for AEAD: with CBC the reply is refused", () => {
  const settled = (cipher: string): Pushed | string => {
    const reply = new PushReply();
    reply.add(part([`cipher ${cipher}`, "protocol-flags cc-exit tls-ekm aead-epoch"]));
    return reply.settle(...parts("data-ciphers AES-256-GCM:AES-256-CBC"), "");
  };
  expect(settled("AES-256-GCM")).toMatchObject({ session: { epoch: true } });
  expect(settled("AES-256-CBC")).toBe("the server pushes aead-epoch with AES-256-CBC, which has no epochs");
});

test("pushed compression takes the place of the profile's, also when it means none; allow-compression no refuses it", () => {
  const form = (options: readonly string[], ...lines: string[]): unknown => {
    const reply = new PushReply();
    reply.add(part(["cipher AES-256-GCM", ...options]));
    const settled = reply.settle(...parts(...lines), "");
    return typeof settled === "string" ? settled : settled.compression;
  };
  expect(form([])).toBe("none");
  expect(form([], "comp-lzo no")).toBe("comp-lzo no");
  expect(form(["compress"], "comp-lzo no")).toBe("compress stub");
  expect(form(["compress migrate"], "comp-lzo no")).toBe("none");
  expect(form(["comp-lzo adaptive"])).toBe("comp-lzo");
  expect(form(["comp-lzo adaptive"], "allow-compression no")).toMatch(/comp-lzo.*allow-compression no/);
  expect(form(["compress"], "allow-compression no")).toBe("compress stub");
});

test("without a pushed cipher the server's own counts, if it is one of ours", () => {
  const cipher = (options: string, ...lines: string[]): unknown => {
    const settled = new PushReply().settle(...parts(...lines), options);
    return typeof settled === "string" ? settled : settled.cipher;
  };
  expect(cipher("V4,cipher AES-128-GCM")).toBe("AES-128-GCM");
  expect(cipher("", "data-ciphers-fallback AES-256-GCM")).toBe("AES-256-GCM");
  expect(cipher("V4,cipher AES-256-CBC")).toMatch(/did not negotiate/);
  expect(cipher("V4,cipher AES-256-CBC", "data-ciphers AES-256-GCM:AES-256-CBC")).toBe("AES-256-CBC");
  expect(cipher("V4,cipher AES-256-CBC", "cipher AES-256-CBC")).toBe("AES-256-CBC");
  expect(cipher("V4,cipher AES-256-CBC", "data-ciphers-fallback AES-256-CBC")).toBe("AES-256-CBC");
  expect(cipher("V4,cipher AES-256-CBC", "data-ciphers-fallback AES-128-CBC")).toMatch(/did not negotiate/);
  expect(cipher("", "data-ciphers-fallback AES-256-CBC")).toBe("AES-256-CBC");
  expect(cipher("", "data-ciphers-fallback BF-CBC")).toMatch(/did not negotiate/);
  expect(cipher("", "data-ciphers-fallback AES-256-CBC", "auth none")).toMatch(/auth none/);
});

test("what the server's options string shows to be set up otherwise there is told: fragment, the device, and compression that nobody named", () => {
  const told = (peerOptions: string, ...lines: string[]): string => {
    const reply = new PushReply();
    reply.add(part(["cipher AES-256-GCM"]));
    const [pull, data] = parts(...lines);
    return serverMismatches(
      reply.settle(pull, data, peerOptions) as Pushed,
      { data, deviceType: "tun" },
      peerOptions,
    ).join();
  };
  expect(told("V4,dev-type tun,proto UDPv4,cipher AES-256-GCM,tls-server")).toBe("");
  expect(told("V4,dev-type tun,mtu-dynamic,tls-server")).toContain("`fragment`");
  expect(told("V4,dev-type tun,mtu-dynamic,tls-server", "fragment 1300")).toBe("");
  expect(told("V4,dev-type tun,tls-server", "fragment 1300")).toContain("`fragment`");
  expect(told("V4,comp-lzo,tls-server")).toContain("compression");
  expect(told("V4,comp-lzo,tls-server", "comp-lzo no")).toBe("");
  expect(told("V4,dev-type tap,tls-server")).toContain("the server has dev tap, the profile dev tun");
});

test("a reply of very many short options is refused too", () => {
  const reply = new PushReply();
  expect(reply.add(part(new Array(4096).fill("a"), 2))).toBe(false);
  expect(reply.add(part(["a"]))).toBe("the server pushed too many options");
});
