/**
 * Certificates, keys, lists and TLS settings: what openvpn accepts or refuses against a server, we accept or refuse, and say
 * why. Each row is one handshake of the real client and one of ours with the same real server by the same profile; in the
 * other direction, one of the real client with the real server and one with ours.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  CASES,
  type Case,
  fingerprintCases,
  SERVER_CASES,
  SERVER_LINES,
  type ServerCase,
} from "../support/certificates/cases.ts";
import { OPENVPN, type Outcome, OwnServer, ownClient, RealServer, realClient } from "../support/certificates/sides.ts";

setDefaultTimeout(180_000);
const AT_ONCE = 3;

const folder = mkdtempSync(join(tmpdir(), "morgana-certificates-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const script = join(import.meta.dir, "../support/certificates/make.sh");
const isThere = existsSync(OPENVPN);
const made = isThere ? Bun.spawnSync(["bash", script], { cwd: folder, stderr: "pipe" }) : undefined;
if (made !== undefined && made.exitCode !== 0) throw new Error(`openssl: ${made.stderr}`);

const fingerprint = (name: string, algorithm: "sha256" | "sha1"): string => {
  const { fingerprint, fingerprint256 } = new X509Certificate(readFileSync(join(folder, `${name}.crt`)));
  return algorithm === "sha1" ? fingerprint : fingerprint256;
};
const cases = [...CASES, ...(isThere ? fingerprintCases(fingerprint) : [])].filter(({ name }) =>
  name.includes(process.env["CASE"] ?? ""),
);

/** Both clients, each with a server of its own: one that has refused a client pauses. */
async function both(c: Case): Promise<{ real: Outcome; own: Outcome }> {
  const lines = [...SERVER_LINES(c), ...(c.server ?? [])];
  const [real, own] = await Promise.all(
    [realClient, ownClient].map(async (client) => {
      const server = await RealServer.start(folder, lines);
      return client(folder, server, c.client).finally(() => server.end());
    }),
  );
  return { real: real as Outcome, own: own as Outcome };
}

/** The row is wrong: its server does not start. */
function unsettled(error: unknown): { real: Outcome; own: Outcome } {
  const outcome: Outcome = { verdict: "unsettled", words: String(error) };
  return { real: outcome, own: outcome };
}

describe.skipIf(!isThere)("beside the real openvpn", () => {
  const found = new Map<Case, { real: Outcome; own: Outcome }>();

  beforeAll(async () => {
    const left = [...cases];
    const work = async (): Promise<void> => {
      for (let c = left.shift(); c !== undefined; c = left.shift()) found.set(c, await both(c).catch(unsettled));
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  });

  for (const c of cases) {
    test(`${c.verdict}: ${c.name}${c.differs === undefined ? "" : ` (openvpn: ${c.differs})`}`, () => {
      const { real, own } = found.get(c) as { real: Outcome; own: Outcome };
      const other = c.verdict === "up" ? "refused" : "up";
      const wanted = { real: c.differs === undefined ? c.verdict : other, own: c.verdict };
      const seen = { real: real.verdict, own: own.verdict };
      if (!Bun.deepEquals(seen, wanted)) console.error(`--- openvpn: ${real.words}\n--- ours: ${own.words}`);
      expect(seen).toEqual(wanted);
      if (c.says !== undefined) expect(own.words).toMatch(c.says);
    });
  }
});

/** The real client, with the real server and with ours. */
async function bothServers(c: ServerCase): Promise<Record<string, Outcome["verdict"]>> {
  const { ca = "ca", crl } = c;
  const level = 'tls-cipher "DEFAULT:@SECLEVEL=0"';
  const real = await RealServer.start(folder, [
    ...[`ca ${ca}.crt`, "cert server.crt", "key server.key", "dh none"],
    ...(crl === undefined ? [] : [`crl-verify ${crl}.crl`]),
    ...(c.level0 ? [level] : []),
  ]);
  const own = await OwnServer.start(folder, (read) => ({
    ca: read(`${ca}.crt`),
    crl: crl === undefined ? undefined : read(`${crl}.crl`),
    cipherList: c.level0 ? "DEFAULT:@SECLEVEL=0" : undefined,
  }));
  // the client takes everything of its own
  const lines = ["ca ca.crt", `cert ${c.shows}.crt`, `key ${c.shows}.key`, level];
  const [byReal, byOwn] = await Promise.all([real, own].map((server) => realClient(folder, server, lines)));
  await Promise.all([real.end(), own.end()]);
  return { real: (byReal as Outcome).verdict, own: (byOwn as Outcome).verdict };
}

test.skipIf(!isThere).each(SERVER_CASES)("a server's client: $verdict: $name", async (c) => {
  expect(await bothServers(c)).toEqual({ real: c.verdict, own: c.verdict });
});
