/** The example of docs/library.md, under Bun and under Node.js: it pings the tunnel's far end through a real openvpn server. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nodeTls } from "../../docs/example/node-tls.ts";
import { tlsParameters } from "../../src/protocol/exchange/tls-parameters.ts";
import { clientConfig, NO_WRAP } from "../support/client-config.ts";
import { OPENVPN } from "../support/world/openvpn-binary.ts";
import { makePki, V2_CLIENT_KEY, V2_SERVER_KEY } from "../support/world/pki.ts";
import { NO_WORLD } from "./subject.ts";

setDefaultTimeout(60_000);
const EXAMPLE = join(import.meta.dir, "../../docs/example/ping.ts");
const NODE = Bun.which("node") ?? undefined;

/** Server and example share a network namespace: the server's kernel answers the pings that come out of its tunnel. */
const SCRIPT = `ip link set lo up
"$OPENVPN" --config server.conf --log server.log & server=$!
for i in $(seq 200); do grep -q "Initialization Sequence Completed" server.log 2> /dev/null && break; sleep 0.05; done
timeout 30 "$@"; status=$?
kill $server; wait $server; exit $status`;

const SERVER = ["dev tun", "local 127.0.0.1", "server 10.8.0.0 255.255.255.0", "topology subnet", "keepalive 2 10"]
  .concat(["ca ca.crt", "cert server.crt", "key server.key", "dh none", "verb 4"])
  .concat([`tls-crypt-v2 ${V2_SERVER_KEY} force-cookie`]);

const CLIENT = ["client", "dev tun", "nobind", "remote 127.0.0.1", "remote-cert-tls server", "explicit-exit-notify"];

describe.skipIf(NO_WORLD)("the example of docs/library.md", () => {
  let folder: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "library-"));
    await makePki(folder);
    const block = (tag: string, file: string): string[] => [
      `<${tag}>`,
      readFileSync(join(folder, file), "utf8"),
      `</${tag}>`,
    ];
    const blocks = [
      ["ca", "ca.crt"],
      ["cert", "client.crt"],
      ["key", "client.key"],
      ["tls-crypt-v2", V2_CLIENT_KEY],
    ] as const;
    writeFileSync(join(folder, "server.conf"), `${SERVER.join("\n")}\n`);
    writeFileSync(
      join(folder, "client.ovpn"),
      [...CLIENT, ...blocks.flatMap(([tag, file]) => block(tag, file)), ""].join("\n"),
    );
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  async function ping(...runtime: readonly string[]): Promise<void> {
    rmSync(join(folder, "server.log"), { force: true });
    const argv = ["unshare", "-n", "sh", "-c", SCRIPT, "sh", ...runtime, "client.ovpn", "10.8.0.1"];
    const run = Bun.spawn(argv, { cwd: folder, env: { ...process.env, OPENVPN }, stderr: "inherit" });
    const [out, status] = [await new Response(run.stdout).text(), await run.exited];
    expect(out.match(/^answer \d+$/gm) ?? [], out).toEqual(["answer 1", "answer 2", "answer 3", "answer 4"]);
    expect(out).toContain('"cipher":"AES-256-GCM"');
    expect(status).toBe(0);
    expect(readFileSync(join(folder, "server.log"), "utf8")).toMatch(/exit message received by peer/i);
  }

  test("under Bun", () => ping(process.execPath, EXAMPLE));

  test.skipIf(NODE === undefined)("under Node.js, bundled by `bun build --target node`", async () => {
    const bundle = join(folder, "ping.mjs");
    const built = Bun.spawnSync([process.execPath, "build", "--target", "node", "--outfile", bundle, EXAMPLE]);
    expect(built.exitCode, built.stderr.toString()).toBe(0);
    expect(readFileSync(bundle, "utf8")).not.toMatch(/from "bun:|\bBun\./);
    await ping(NODE as string, bundle);
  });
});

test("the example has 60 lines at most", () => {
  expect(readFileSync(EXAMPLE, "utf8").trimEnd().split("\n").length).toBeLessThanOrEqual(60);
});

test("its TLS takes no authority but the profile's, and nothing of a profile that it does not do", () => {
  const { tls, verify } = clientConfig([], NO_WRAP);
  const parameters = tlsParameters(tls, verify);
  expect(() => nodeTls(parameters, () => {})).not.toThrow();
  expect(() => nodeTls({ ...parameters, ca: undefined }, () => {})).toThrow("authorities of the system");
  expect(() => nodeTls({ ...parameters, cipherList: "DEFAULT" }, () => {})).toThrow("not for node:tls");
});
