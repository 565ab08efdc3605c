/** What a simulated session needs beside its ports: a configuration, key material, a certificate. */
import "reflect-metadata";
import { readFileSync } from "node:fs";
import { parseConfig } from "../../src/protocol/config/parse.ts";
import type { ClientConfig, ControlWrap } from "../../src/protocol/config/types.ts";
import { wrapClientKey } from "./independent/wrap.ts";

const pem = readFileSync(new URL("../configs/client.crt", import.meta.url), "utf8");
/** DER. */
export const CERTIFICATE = Uint8Array.fromBase64(/BEGIN CERTIFICATE-----([^-]*)/.exec(pem)![1]!.replace(/\s/g, ""));

const KEY = Uint8Array.from({ length: 256 }, (_, i) => (i * 7 + 3) & 0xff);
const material = { label: "<key> block", origin: { file: "x", line: 1 }, bytes: KEY };
export const TLS_CRYPT: ControlWrap = { kind: "tls-crypt", key: KEY, material };
export const TLS_AUTH: ControlWrap = { kind: "tls-auth", key: KEY, direction: 1, digest: "SHA256", material };
/** Of the server that the wrapped key is for. */
export const SERVER_KEY = Uint8Array.from({ length: 128 }, (_, i) => (i * 5 + 1) & 0xff);
const wrapped = Uint8Array.from(wrapClientKey(SERVER_KEY, KEY, Buffer.from("\0office")));
export const TLS_CRYPT_V2 = { kind: "tls-crypt-v2", key: KEY, wrapped, material } as const satisfies ControlWrap;
export const NO_WRAP: ControlWrap = { kind: "none" };

/** What the simulated server pushes. */
export const PUSH: readonly string[] = [
  "topology subnet",
  "ifconfig 10.8.0.2 255.255.255.0",
  "ping 10",
  "ping-restart 60",
];

/** @param answer the third row of auth.txt */
export function clientConfig(lines: readonly string[], wrap: ControlWrap, answer = ""): ClientConfig {
  const text = `client\ndev tun\nnobind\nremote vpn.example\nauth-user-pass\n${lines.join("\n")}\n<ca>\n${pem}\n</ca>\n`;
  const result = parseConfig({ file: "x.ovpn", text }, () => undefined, {
    roles: ["client"],
    defaultCredentials: { text: `ann\npw\n${answer}\n`, label: "auth.txt" },
  });
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return { ...result.config, control: { ...result.config.control, wrap } };
}
