/** Configurations for the router under test: a profile as a provider hands it out, and the folder laid out like a config disk. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type ControlProtection, PASSWORD, USER } from "./openvpn-server.ts";
import { type CertificateName, V2_CLIENT_KEY } from "./pki.ts";

export interface ProfileOptions {
  /** Each `HOST [PORT]`; the port defaults to 1194. */
  readonly remotes: readonly string[];
  readonly protocol: "udp" | "tcp";
  readonly control: ControlProtection;
  readonly ca: "ca" | "ca-other";
  readonly certificate: CertificateName;
  readonly staticKey: "static" | "static-other";
  readonly password: boolean;
  /** More lines, after the others and before the blocks. */
  readonly lines: readonly string[];
}

export const SERVER_NAME = "vpn.example";

export const PROFILE_DEFAULTS: ProfileOptions = {
  remotes: [SERVER_NAME],
  protocol: "udp",
  control: "tls-crypt",
  ca: "ca",
  certificate: "client",
  staticKey: "static",
  password: true,
  lines: [],
};

/** The text of a profile: everything inline, lines ended by CR LF. `pki` is the folder with the certificates. */
export function profileText(pki: string, changes: Partial<ProfileOptions> = {}): string {
  const options = { ...PROFILE_DEFAULTS, ...changes };
  const block = (tag: string, file: string): string[] => [
    `<${tag}>`,
    ...readFileSync(join(pki, file), "utf8").trim().split("\n"),
    `</${tag}>`,
  ];
  const lines = [
    "client",
    "dev tun",
    `proto ${options.protocol}`,
    ...options.remotes.map((remote) => `remote ${/ \d+$/.test(remote) ? remote : `${remote} 1194`}`),
    "resolv-retry infinite",
    "nobind",
    "persist-key",
    "persist-tun",
    "remote-cert-tls server",
    ...(options.password ? ["auth-user-pass"] : []),
    "verb 3",
    ...(options.control === "tls-auth" ? ["key-direction 1"] : []),
    ...options.lines,
    ...block("ca", `${options.ca}.crt`),
    ...block("cert", `${options.certificate}.crt`),
    ...block("key", `${options.certificate}.key`),
    ...controlKey(options).flatMap((file) => block(options.control, file)),
  ];
  return `${lines.join("\r\n")}\r\n`;
}

function controlKey({ control, staticKey }: ProfileOptions): string[] {
  if (control === "plain") return [];
  return [control === "tls-crypt-v2" ? V2_CLIENT_KEY : `${staticKey}.key`];
}

export interface ConfigFiles {
  readonly profile: string;
  /** Of `auth.txt`; undefined leaves it out. */
  readonly auth: string | undefined;
  /** Of `appliance.toml`; undefined leaves it out. */
  readonly toml: string | undefined;
}

export const AUTH = `${USER}\n${PASSWORD}\n`;

/** Makes the folder `dir` anew. The profile's name is `lab.ovpn`. */
export function writeConfig(dir: string, files: ConfigFiles): string {
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, "lab.ovpn"), files.profile);
  if (files.auth !== undefined) writeFileSync(join(dir, "auth.txt"), files.auth, { mode: 0o600 });
  if (files.toml !== undefined) writeFileSync(join(dir, "appliance.toml"), files.toml);
  return dir;
}
