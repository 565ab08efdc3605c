import { expect, test } from "bun:test";
import { parseConfig } from "../config/parse.ts";
import type { ClientConfig } from "../config/types.ts";
import { clientPeerInfo, IV_PROTO, optionsString, optionsStringValue } from "./peer-info.ts";

const CA = "<ca>\n-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n</ca>\n";
function config(lines: readonly string[] = []): ClientConfig {
  const text = `client\ndev tun\nremote vpn.example\nauth-user-pass\n${lines.join("\n")}\n${CA}`;
  const result = parseConfig({ file: "x.ovpn", text }, () => undefined, {
    roles: ["client"],
    defaultCredentials: { text: "ann\npw\n", label: "auth.txt" },
  });
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.config;
}

function peerInfo(lines: readonly string[] = []): string {
  const { data, tunnel, peerInfo } = config(lines);
  return clientPeerInfo(data, tunnel, peerInfo);
}

function occ(lines: readonly string[]): string {
  const { data, tunnel, control } = config(lines);
  return optionsString("client", data, tunnel, control.wrap, false);
}

test("IV_PROTO announces what is implemented: DATA_V2, push request, exporter, AUTH_PENDING, exit notify, TEMP", () => {
  expect(IV_PROTO).toBe(2 + 4 + 8 + 16 + 128 + 256);
  expect(peerInfo()).toContain("IV_PROTO=414\n");
});

test("the ciphers in the profile's order; IV_NCP=2 stands for both AES-GCM ones (test_ncp.c)", () => {
  const both = peerInfo(["data-ciphers AES-128-GCM:AES-256-GCM"]);
  expect(both).toContain("IV_CIPHERS=AES-128-GCM:AES-256-GCM\n");
  expect(both).toContain("IV_NCP=2\n");
  expect(peerInfo(["data-ciphers CHACHA20-POLY1305"])).not.toContain("IV_NCP");
});

test("UV_ values only with push-peer-info, and nothing of the login", () => {
  const lines = ["setenv UV_SITE north", "setenv OTHER x"];
  expect(peerInfo(lines)).not.toContain("UV_SITE");
  const info = peerInfo([...lines, "push-peer-info"]);
  expect(info).toContain("UV_SITE=north\n");
  expect(info).not.toMatch(/OTHER|ann|pw/);
});

test("link-mtu of the options string as test_crypto.c has it for tun-mtu 1400", () => {
  const linkMtu = (...lines: string[]) => optionsStringValue(occ(["tun-mtu 1400", ...lines]), "link-mtu");
  expect(linkMtu("data-ciphers AES-256-GCM")).toBe("1449");
  expect(linkMtu("cipher AES-128-CBC", "auth SHA1")).toBe("1457");
});

test("items of an options string are found by whole name", () => {
  const options = "V4,dev-type tun,tun-mtu 1500,cipher AES-256-GCM,auth [null-digest]";
  expect(optionsStringValue(options, "cipher")).toBe("AES-256-GCM");
  expect(optionsStringValue(options, "mtu")).toBeUndefined();
});
