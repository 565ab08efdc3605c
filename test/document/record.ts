/**
 * Makes the recordings of test/document/recordings: `bun test/document/record.ts [NAME...]`, as root. The real openvpn (`OPENVPN=` names another one) is the server; the client
 * is the library, with TLS by Node.js, which writes down the secrets of its TLS sessions. Server and client share a network namespace of their own.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OPENVPN, openvpnIsAtLeast } from "../support/world/openvpn-binary.ts";
import { makePki, V2_CLIENT_KEY, V2_SERVER_KEY } from "../support/world/pki.ts";

interface Case {
  readonly name: string;
  readonly server: readonly string[];
  readonly client: readonly string[];
  readonly wrap: (read: (file: string) => string) => object;
  readonly more?: object;
  /** Of openvpn: what came before has no epochs. */
  readonly version?: readonly [number, number];
  /** Keys by the PRF, else by the TLS exporter. */
  readonly isPrf?: boolean;
}

const keyOf = (text: string): string => (/V1-----([^-]+)/.exec(text)?.[1] ?? "").replace(/\s/g, "");
const base64Of = (text: string): Buffer => Buffer.from(/KEY-----([^-]+)/i.exec(text)?.[1] ?? "", "base64");

const CASES: readonly Case[] = [
  {
    name: "tls-crypt-v2-aes-256-gcm",
    server: ["proto udp", `tls-crypt-v2 ${V2_SERVER_KEY} force-cookie`],
    client: ["proto udp", `tls-crypt-v2 ${V2_CLIENT_KEY}`],
    wrap: (read) => ({
      kind: "tls-crypt-v2",
      key: base64Of(read(V2_CLIENT_KEY)).subarray(0, 256).toString("hex"),
      "server-key": base64Of(read(V2_SERVER_KEY)).toString("hex"),
    }),
  },
  {
    name: "tls-auth-aes-256-cbc-comp-lzo",
    server: ["proto udp", "tls-auth static.key 0", "auth SHA256", "data-ciphers AES-256-CBC"].concat([
      "comp-lzo no",
      'push "comp-lzo no"',
    ]),
    client: ["proto udp", "tls-auth static.key 1", "auth SHA256", "data-ciphers AES-256-CBC", "comp-lzo no"],
    wrap: (read) => ({ kind: "tls-auth", key: keyOf(read("static.key")), direction: 1, digest: "SHA256" }),
    more: { auth: "SHA256" },
  },
  {
    name: "tls-crypt-aes-128-gcm-prf",
    server: ["proto udp", "tls-crypt static.key", "data-ciphers AES-128-GCM"],
    client: ["proto udp", "tls-crypt static.key", "data-ciphers AES-128-GCM"],
    wrap: (read) => ({ kind: "tls-crypt", key: keyOf(read("static.key")) }),
    isPrf: true,
  },
  {
    name: "tls-crypt-aes-256-gcm-epochs",
    server: ["proto udp", "tls-crypt static.key"],
    client: ["proto udp", "tls-crypt static.key"],
    wrap: (read) => ({ kind: "tls-crypt", key: keyOf(read("static.key")) }),
    version: [2, 7],
  },
  {
    name: "tcp-chacha20-poly1305-compress",
    server: ["proto tcp-server", "data-ciphers CHACHA20-POLY1305", "compress stub-v2", 'push "compress stub-v2"'],
    client: ["proto tcp-client", "data-ciphers CHACHA20-POLY1305", "compress stub-v2"],
    wrap: () => ({ kind: "none" }),
    more: { stream: true },
  },
];

const SERVER = [
  "dev tun",
  "local 127.0.0.1",
  "server 10.8.0.0 255.255.255.0",
  "topology subnet",
  "keepalive 1 10",
].concat(["ca ca.crt", "cert server.crt", "key server.key", "dh none", "verb 3", "reneg-sec 0"]);
const CLIENT = [
  "client",
  "dev tun",
  "nobind",
  "remote 127.0.0.1",
  "remote-cert-tls server",
  "explicit-exit-notify",
].concat(["auth-user-pass", "reneg-sec 2"]);

const SCRIPT = `ip link set lo up
"$OPENVPN" --config server.conf --log server.log & server=$!
for i in $(seq 200); do grep -q "Initialization Sequence Completed" server.log 2> /dev/null && break; sleep 0.05; done
timeout 30 node --tls-keylog=keylog client.mjs client.ovpn 10.8.0.1 $DERIVATION; status=$?
kill $server; wait $server; exit $status`;

const folder = mkdtempSync(join(tmpdir(), "record-"));
const read = (file: string): string => readFileSync(join(folder, file), "utf8");
await makePki(folder);
const bundle = join(folder, "client.mjs");
const source = join(import.meta.dir, "record-client.ts");
Bun.spawnSync([process.execPath, "build", "--target", "node", "--outfile", bundle, source]);
for (const { name, server, client, wrap, more, isPrf, version: least = [2, 6] as const } of CASES) {
  if (process.argv.length > 2 && !process.argv.includes(name)) continue;
  if (!openvpnIsAtLeast(...least)) {
    console.log(`${name}: left as it is: OPENVPN= names no openvpn ${least.join(".")}`);
    continue;
  }
  const material = [
    ["ca", "ca.crt"],
    ["cert", "client.crt"],
    ["key", "client.key"],
  ] as const;
  // what names a file becomes a block
  const lines = client.map((line) => {
    const [, directive = "", file = "", direction] =
      /^(tls-auth|tls-crypt|tls-crypt-v2) (\S+)(?: (\d))?$/.exec(line) ?? [];
    if (directive === "") return line;
    const block = `<${directive}>\n${read(file)}</${directive}>`;
    return direction === undefined ? block : `${block}\nkey-direction ${direction}`;
  });
  const blocks = material.map(([tag, file]) => `<${tag}>\n${read(file)}</${tag}>`);
  writeFileSync(join(folder, "server.conf"), `${[...SERVER, ...server].join("\n")}\n`);
  writeFileSync(join(folder, "client.ovpn"), `${[...CLIENT, ...lines, ...blocks].join("\n")}\n`);
  for (const old of ["keylog", "server.log"]) rmSync(join(folder, old), { force: true });
  const env = { ...process.env, OPENVPN, DERIVATION: isPrf ? "prf" : "" };
  const run = Bun.spawnSync(["unshare", "-n", "sh", "-c", SCRIPT], { cwd: folder, env, stderr: "inherit" });
  if (run.exitCode !== 0) throw new Error(`${name}: ${run.stdout}\n${read("server.log")}`);
  const { packets, seen } = JSON.parse(run.stdout.toString());
  const version = /^OpenVPN \S+/m.exec(Bun.spawnSync([OPENVPN, "--version"]).stdout.toString())?.[0];
  const keylog = read("keylog").trim().split("\n");
  const recording = {
    origin: `bun test/document/record.ts ${name}, with ${version} as the server`,
    server: [...SERVER, ...server],
    client: [...CLIENT, ...client],
    wrap: wrap(read),
    ...more,
    keylog,
    packets,
    seen,
  };
  const path = join(import.meta.dir, "recordings", `${name}.json`);
  writeFileSync(path, `${JSON.stringify(recording, undefined, 1)}\n`);
  console.log(`${path}: ${packets.length} packets`);
}
rmSync(folder, { recursive: true });
