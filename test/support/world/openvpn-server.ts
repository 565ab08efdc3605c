/** A real openvpn server of the world, and its configuration. */
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openvpnIsAtLeast } from "./openvpn-binary.ts";
import { type CertificateName, V2_SERVER_KEY } from "./pki.ts";

export type ControlProtection = "plain" | "tls-auth" | "tls-crypt" | "tls-crypt-v2";

export interface ServerOptions {
  readonly port: number;
  readonly protocol: "udp" | "tcp";
  readonly control: ControlProtection;
  /** With tls-crypt-v2: whether a client must answer to a server that keeps nothing of its first packet. */
  readonly cookie: "force-cookie" | "allow-noncookie";
  readonly certificate: CertificateName;
  /** `tls-version-min` and `tls-version-max`, as in "1.3". */
  readonly tls?: string;
  readonly ciphers: string;
  readonly topology: "subnet" | "net30" | "p2p";
  /** A /24 of the tunnel, without the last octet. */
  readonly network: string;
  readonly push: readonly string[];
  /** Ask for user and password (ann, correct horse). */
  readonly password: boolean;
  /** More lines. */
  readonly lines: readonly string[];
}

export const SERVER_DEFAULTS: ServerOptions = {
  port: 1194,
  protocol: "udp",
  control: "tls-crypt",
  cookie: "force-cookie",
  certificate: "server",
  ciphers: "AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305",
  topology: "subnet",
  network: "10.8.0",
  push: ["redirect-gateway def1", "dhcp-option DNS 10.8.0.1"],
  password: true,
  lines: [],
};

export const USER = "ann";
export const PASSWORD = "correct horse";

/** Writes the configuration and the password check into `dir`; the path of the former. */
export function writeServerConfig(dir: string, name: string, address: string, options: ServerOptions): string {
  const check = join(dir, `check-${name}`);
  const script = [
    "#!/bin/sh",
    `tr '\\n' '\\t' < "$1" >> ${loginsFile(dir, name)}; echo >> ${loginsFile(dir, name)}`,
    `[ "$(cat "$1")" = "$(printf '${USER}\\n${PASSWORD}')" ]`,
  ];
  writeFileSync(check, `${script.join("\n")}\n`, { mode: 0o755 });
  rmSync(loginsFile(dir, name), { force: true });
  const lines = [
    `dev tun-${name}`,
    "dev-type tun",
    `proto ${options.protocol === "tcp" ? "tcp-server" : "udp"}`,
    `local ${address}`,
    `port ${options.port}`,
    `server ${options.network}.0 255.255.255.0`,
    `topology ${options.topology}`,
    "ca ca.crt",
    `cert ${options.certificate}.crt`,
    `key ${options.certificate}.key`,
    "dh none",
    ...(options.control === "tls-crypt" ? ["tls-crypt static.key"] : []),
    ...(options.control === "tls-auth" ? ["tls-auth static.key 0"] : []),
    ...(options.control === "tls-crypt-v2" ? [`tls-crypt-v2 ${V2_SERVER_KEY} ${options.cookie}`] : []),
    ...(options.tls === undefined ? [] : [`tls-version-min ${options.tls}`, `tls-version-max ${options.tls}`]),
    "keepalive 2 10",
    ...(options.password ? ["script-security 2", `auth-user-pass-verify ${check} via-file`, `tmp-dir ${dir}`] : []),
    `${openvpnIsAtLeast(2, 5) ? "data-ciphers" : "ncp-ciphers"} ${options.ciphers}`,
    "verb 4",
    ...options.push.map((item) => `push "${item}"`),
    ...options.lines,
  ];
  const path = join(dir, `${name}.conf`);
  writeFileSync(path, `${lines.join("\n")}\n`);
  return path;
}

const loginsFile = (dir: string, name: string): string => join(dir, `logins-${name}`);

/** What the server's script was asked to check since the server was started: user and password, in that order. */
export function checkedLogins(dir: string, name: string): string[][] {
  const file = loginsFile(dir, name);
  const text = existsSync(file) ? readFileSync(file, "utf8") : "";
  return text
    .trim()
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.trim().split("\t"));
}
