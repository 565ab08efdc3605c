/** A session renews its keys, by either side, and its login with them. */
import { afterAll, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { iperfTcp } from "../support/world/iperf.ts";
import { PASSWORD, USER } from "../support/world/openvpn-server.ts";
import { lastAnswered, unanswered } from "../support/world/ping.ts";
import { type Daemon, PATIENCE, until } from "../support/world/process.ts";
import { TUNNEL, World } from "../support/world/world.ts";
import { NO_WORLD, REFERENCE, Subject } from "./subject.ts";

setDefaultTimeout(180_000);

describe.skipIf(NO_WORLD)("renegotiation with openvpn", () => {
  let world: World;
  let subject: Subject;

  beforeAll(async () => {
    world = await World.create();
    subject = new Subject(world);
  });
  // The one of the test before must not be a client of this test's server.
  beforeEach(async () => void (await subject.halt()));
  afterAll(() => world?.close());

  const count = (text: string, pattern: RegExp): number => text.match(pattern)?.length ?? 0;

  /** Waits until the pings that are sent from now on are answered, ends them, and says how many before were not. */
  async function endPings(pings: Daemon): Promise<{ answered: number; lost: number }> {
    const before = lastAnswered(pings.log());
    expect(await until(() => lastAnswered(pings.log()) > before + 5, PATIENCE)).toBeDefined();
    await world.stop(pings.name, "SIGINT");
    return { answered: lastAnswered(pings.log()), lost: unanswered(pings.log()) };
  }

  test("renegotiation by the server every 5 s under load breaks no connection and stays one session", async () => {
    const server = await world.server({ lines: ["reneg-sec 5 5"] });
    await subject.bootUp();
    const { stall, standstill } = await iperfTcp(world, "up", 20);
    expect(stall).toBeLessThanOrEqual(2 + standstill);
    expect(await until(() => count(server.log(), /TLS: soft reset/g) >= 3, PATIENCE)).toBeDefined();
    if (!REFERENCE) expect(await until(() => count(subject.log(), /tunnel\.rekeyed/g) >= 3, PATIENCE)).toBeDefined();
    expect(count(server.log(), /'PUSH_REPLY/g)).toBe(1);
    expect(server.log()).toContain("Incoming dynamic tls-crypt");
  });

  test("renegotiation by the client every 5 s under load, the server never asking for one", async () => {
    const server = await world.server({ control: "plain", lines: ["reneg-sec 0"] });
    await subject.bootUp(world.config({ profile: world.profile({ control: "plain", lines: ["reneg-sec 5"] }) }));
    const { stall, standstill } = await iperfTcp(world, "down", 18);
    expect(stall).toBeLessThanOrEqual(2 + standstill);
    expect(await until(() => count(server.log(), /Control Channel: TLS/g) >= 3, PATIENCE)).toBeDefined();
    if (!REFERENCE) expect(await until(() => count(subject.log(), /tunnel\.rekeyed/g) >= 2, PATIENCE)).toBeDefined();
    expect(count(server.log(), /'PUSH_REPLY/g)).toBe(1);
  });

  test("auth-gen-token: the password goes once, and renewed tokens carry the session beyond the first one's life", async () => {
    // A token that is not renewed is worth nothing after twice the renewal time: 16 s, before the fourth renegotiation.
    // 2.6.14 pushes one after each renegotiation, and takes no renewal time below twice its hand-window.
    const server = await world.server({ lines: ["auth-gen-token 3600 8", "reneg-sec 5 5", "hand-window 4"] });
    await subject.bootUp();
    const ping = world.start("ping", "lan", ["ping", "-n", "-i", "0.1", TUNNEL]);
    const accepted = (): number => count(server.log(), /auth-token authentication succeeded/g);
    const failed = (): boolean => /AUTH_FAILED|auth-token.*(fail|expired)/i.test(server.log());
    await until(() => accepted() >= 4 || failed(), 90);
    expect(accepted()).toBeGreaterThanOrEqual(4);
    expect(failed()).toBe(false);
    expect(count(server.log(), /'PUSH_REPLY,auth-token/g)).toBeGreaterThanOrEqual(3);
    const { answered, lost } = await endPings(ping);
    expect(answered).toBeGreaterThan(100);
    expect(lost).toBe(0);
    expect(world.logins()).toEqual([[USER, PASSWORD]]);
    expect(count(server.log(), /Peer Connection Initiated/g)).toBe(1);
    if (!REFERENCE) {
      expect(count(subject.log(), /tunnel\.up/g)).toBe(1);
      expect(subject.log()).not.toMatch(/tunnel\.down/);
    }
  });

  test("a server that takes its time to check the login of a renegotiation: what is sent meanwhile arrives", async () => {
    const check = join(world.dir, "check-late");
    // The first login at once; later ones are deferred (exit status 2) and decided 8 s after. Until then the server takes
    // nothing with the new key, which is used 9 s after the handshake; it looks for the decision when it likes, so what
    // is measured ends before.
    const script = ["#!/bin/sh", `[ -e ${check}.once ] || { touch ${check}.once; exit 0; }`];
    writeFileSync(check, [...script, '(sleep 8; printf 1 > "$auth_control_file") &', "exit 2", ""].join("\n"), {
      mode: 0o755,
    });
    const verify = ["script-security 2", `auth-user-pass-verify ${check} via-file`, `tmp-dir ${world.dir}`];
    const server = await world.server({ password: false, lines: [...verify, "reneg-sec 0"] });
    await subject.bootUp(world.config({ profile: world.profile({ lines: ["reneg-sec 18"] }) }));
    const ping = world.start("ping", "lan", ["ping", "-n", "-i", "0.2", TUNNEL]);
    expect(await server.says(/authentication deferred/, PATIENCE)).toBeDefined();
    const before = lastAnswered(ping.log());
    expect(await until(() => lastAnswered(ping.log()) > before + 30, PATIENCE)).toBeDefined();
    const { lost } = await endPings(ping);
    expect(lost).toBeLessThanOrEqual(2);
  });
});
