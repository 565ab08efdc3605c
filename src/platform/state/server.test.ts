/** What a server keeps over a restart comes back as it was, and is believed only where it can be. */
import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseIp } from "../../lib/ip.ts";
import { seededRandom } from "../../lib/random.ts";
import { encodeState } from "./format.ts";
import { keepPool, keptPool, serverKeys } from "./server.ts";
import { StateStore } from "./store.ts";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "morgana-state-"));
  folders.push(path);
  return path;
}

const open = (path: string, lines: string[] = []): StateStore =>
  new StateStore(path, "the state disk", {
    enabled: () => true,
    write: (level, event, text) => void lines.push(`${level} ${event} ${text}`),
  });

async function settle(store: StateStore): Promise<void> {
  store.hurry(0);
  do {
    store.poll(0);
    await new Promise((resolve) => setImmediate(resolve));
  } while (!store.isIdle(0));
}

test("keys are the same after a restart, and new ones where nothing is kept", async () => {
  const path = folder();
  const store = open(path);
  const keys = serverKeys(0, store, seededRandom(1));
  expect([keys.cookie.length, keys.token.length, keys.cookie.toHex() === keys.token.toHex()]).toEqual([32, 32, false]);
  await settle(store);
  expect(serverKeys(0, open(path), seededRandom(2))).toEqual(keys);
  expect(serverKeys(0, undefined, seededRandom(2))).not.toEqual(keys);
});

test("who had which address is known after a restart", async () => {
  const path = folder();
  const store = open(path);
  const leases = [
    { name: "c1", address: parseIp("10.8.0.2"), address6: parseIp("fd00:8::1000"), releasedAt: undefined },
    { name: "c2", address: undefined, address6: parseIp("fd00:8::1001"), releasedAt: 1_700_000_000 },
  ];
  keepPool(0, store, () => leases);
  await settle(store);
  expect(keptPool(0, open(path))).toEqual(leases);
  expect(keptPool(0, open(folder()))).toBeUndefined();
});

test.each([
  ["pool", [{ address: "10.8.0.2" }]],
  ["pool", [{ name: "c1", address: "fd00::1" }]],
  ["pool", [{ name: "c1", releasedAt: "yesterday" }]],
  ["pool", { name: "c1" }],
  ["server-keys", { cookie: "00", token: "00" }],
  ["server-keys", { cookie: "0".repeat(64) }],
])("%s of another shape is not used, and said: %j", (name, data) => {
  const path = folder();
  writeFileSync(join(path, `${name}.json`), encodeState(data));
  const lines: string[] = [];
  const store = open(path, lines);
  if (name === "pool") expect(keptPool(0, store)).toBeUndefined();
  else expect(serverKeys(0, store, seededRandom(1)).cookie.some((byte) => byte !== 0)).toBe(true);
  expect(lines).toEqual([expect.stringMatching(new RegExp(`warn state.damaged ${name}.json`))]);
});
