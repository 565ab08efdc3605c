import { describe, expect, test } from "bun:test";
import { parseConfig } from "../config/parse.ts";
import type { ClientConfig } from "../config/types.ts";
import { type Decompressors, NO_DECOMPRESSORS } from "../ports.ts";
import { clientPeerInfo, IV_PROTO, type MachineInfo, optionsString, optionsStringValue } from "./peer-info.ts";

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

const expands = { decompress: () => -1 };
const BOTH: Decompressors = { lzo: expands, lz4: expands };

function peerInfo(lines: readonly string[] = [], decompressors = BOTH, canAnswer = false): string {
  const { data, tunnel, peerInfo } = config(lines);
  return clientPeerInfo(data, tunnel, peerInfo, decompressors, canAnswer);
}

function occ(lines: readonly string[]): string {
  const { data, deviceType, tunnel, control } = config(lines);
  return optionsString("client", { data, tunnel, deviceType }, control.wrap, false);
}

test("IV_PROTO announces what is implemented: DATA_V2, push request, exporter, AUTH_PENDING, exit notify, TEMP, dynamic tls-crypt, epochs, dns, PUSH_UPDATE", () => {
  expect(IV_PROTO).toBe(2 + 4 + 8 + 16 + 128 + 256 + 512 + 1024 + 2048 + 4096);
  expect(peerInfo()).toContain("IV_PROTO=8094\n");
});

test("the ciphers in the profile's order; IV_NCP=2 stands for both AES-GCM ones (test_ncp.c)", () => {
  const both = peerInfo(["data-ciphers AES-128-GCM:AES-256-GCM"]);
  expect(both).toContain("IV_CIPHERS=AES-128-GCM:AES-256-GCM\n");
  expect(both).toContain("IV_NCP=2\n");
  expect(peerInfo(["data-ciphers CHACHA20-POLY1305"])).not.toContain("IV_NCP");
});

test("IV_SSO: a web page is told to a person; crtext where the profile has an answer; IV_GUI_VER goes by itself", () => {
  expect(peerInfo(["setenv IV_GUI_VER panel_1", "setenv IV_SSO x"])).toContain(
    "IV_SSO=webauth,openurl\nIV_GUI_VER=panel_1\n",
  );
  expect(peerInfo([], BOTH, true)).toContain("IV_SSO=webauth,openurl,crtext\n");
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
  expect(linkMtu("data-ciphers AES-256-GCM", "fragment 1200", "comp-lzo no")).toBe("1454");
});

test("items of an options string are found by whole name", () => {
  const options = "V4,dev-type tun,tun-mtu 1500,cipher AES-256-GCM,auth [null-digest]";
  expect(optionsStringValue(options, "cipher")).toBe("AES-256-GCM");
  expect(optionsStringValue(options, "mtu")).toBeUndefined();
});

test("a client that does not pull announces NCP_P2P, and nothing about pushes", () => {
  const { data, tunnel, peerInfo } = config();
  const info = clientPeerInfo(data, tunnel, peerInfo, NO_DECOMPRESSORS, false, false);
  expect(info).toContain(`IV_PROTO=${2 + 8 + 32 + 128 + 512 + 1024}\n`);
});

describe("what is announced of compression is what openvpn 2.6 announces (comp.c)", () => {
  const announced = (lines: readonly string[], decompressors?: Decompressors): string[] =>
    [...peerInfo(lines, decompressors).matchAll(/^IV_(LZO.*|LZ4.*|COMP.*)=1$/gm)].map((match) => match[1] as string);
  const STUBS = ["LZO_STUB", "COMP_STUB", "COMP_STUBv2"];
  const ALL = ["LZ4", "LZ4v2", "LZO", "COMP_STUB", "COMP_STUBv2"];

  test.each([
    [[], STUBS],
    [["comp-lzo no"], STUBS],
    [["compress"], STUBS],
    [["compress stub-v2", "allow-compression asym"], STUBS],
    [["allow-compression no"], STUBS],
    [["allow-compression asym"], ALL],
    [["comp-lzo"], ALL],
    [["compress lzo"], ALL],
    [["compress lz4"], ALL],
    [["compress lz4-v2"], ALL],
    [["comp-lzo no", "allow-compression yes"], ALL],
  ] as const)("%j", (lines, expected) => {
    expect(announced(lines)).toEqual([...expected]);
  });

  test("but for what there is no library for", () => {
    expect(announced(["comp-lzo"], { ...BOTH, lz4: undefined })).toEqual(["LZO", "COMP_STUB", "COMP_STUBv2"]);
    expect(announced(["comp-lzo"], NO_DECOMPRESSORS)).toEqual(STUBS);
  });
});

test("push-peer-info: what is known of the machine is told, and nothing of it without", () => {
  const machine = {
    hardwareAddress: "52:54:00:12:34:56",
    tlsLibrary: "OpenSSL 3.0.1\nIV_PROTO=1",
    kernelRelease: "6.1.0",
  };
  const info = (known: MachineInfo, ...lines: string[]): string[] => {
    const { data, tunnel, peerInfo: own } = config(lines);
    const text = clientPeerInfo(data, tunnel, own, NO_DECOMPRESSORS, false, true, known);
    return text.split("\n").filter((line) => /^IV_(HWADDR|SSL|PLAT_VER|PROTO=1$)/.test(line));
  };
  expect(info(machine)).toEqual([]);
  expect(info(machine, "push-peer-info")).toEqual([
    "IV_HWADDR=52:54:00:12:34:56",
    "IV_SSL=OpenSSL 3.0.1IV_PROTO=1",
    "IV_PLAT_VER=6.1.0",
  ]);
  expect(info({ kernelRelease: "6.1.0" }, "push-peer-info")).toEqual(["IV_PLAT_VER=6.1.0"]);
});
