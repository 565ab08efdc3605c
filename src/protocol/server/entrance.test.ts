import { describe, expect, test } from "bun:test";
import { namedCertificate } from "../../../test/support/named-certificate.ts";
import { parseIp } from "../../lib/ip.ts";
import type { EntryConfig } from "../config/server-types.ts";
import type { Judgement } from "./entry.ts";
import type { Guest } from "./guest.ts";
import { ALICE_HASH, entranceOf, file, identityOf, login, NOW, setup } from "./testing/entrance-bed.ts";

const HOME = parseIp("192.0.2.1")!;
const ELSEWHERE = parseIp("198.51.100.7")!;
const ALICE = login({ user: "alice", password: "wonderland" });
const CERT = namedCertificate("c1");

/** What becomes of it where the password is what the hash is of. */
function outcome(judgement: Judgement): string {
  if (judgement.kind === "accept") return `in as ${judgement.identity.name}`;
  if (judgement.kind === "refuse") return "out";
  return judgement.hash === undefined ? "out after a password" : `password, then in as ${judgement.identity.name}`;
}

interface Case {
  readonly clientCert: EntryConfig["clientCert"];
  readonly hasUsers: boolean;
  readonly optional: boolean;
  readonly asName: boolean;
  readonly shows: "nothing" | "certificate" | "login" | "both" | "stranger";
}

const BOTH = [false, true];
const CASES: readonly Case[] = (["none", "optional", "require"] as const).flatMap((clientCert) =>
  BOTH.flatMap((hasUsers) =>
    BOTH.flatMap((optional) =>
      BOTH.flatMap((asName) =>
        (["nothing", "certificate", "login", "both", "stranger"] as const).map((shows) => ({
          clientCert,
          hasUsers,
          optional,
          asName,
          shows,
        })),
      ),
    ),
  ),
);

/**
 * What OpenVPN 2.6.14 does, with a script in the users' place that knows alice and, where auth-user-pass-optional lets a client without a
 * login come as far as that, looks at the certificate. Each combination that its client and its server can have was seen once, with the
 * names that its log gives them. In two things this server is not like it: who has no certificate where nobody has one is called by
 * the user's name, not UNDEF; and a server without users and certificates, with which OpenVPN does not start, lets nobody in.
 */
function expected({ clientCert, hasUsers, optional, asName, shows }: Case): string {
  const hasCertificate = (shows === "certificate" || shows === "both") && clientCert !== "none";
  const user = shows === "login" || shows === "both" ? "alice" : shows === "stranger" ? "mallory" : undefined;
  if (clientCert === "require" && !hasCertificate) return "out";
  if (!hasUsers) return hasCertificate ? "in as c1" : "out";
  if (user === undefined) return optional && hasCertificate ? `in as ${asName ? "UNDEF" : "c1"}` : "out";
  if (user === "mallory") return "out after a password";
  const byCertificate = hasCertificate ? "c1" : clientCert === "none" ? "alice" : "UNDEF";
  return `password, then in as ${asName ? "alice" : byCertificate}`;
}

test("every way of asking meets every way of coming, as with OpenVPN 2.6", () => {
  for (const one of CASES) {
    const { clientCert, hasUsers, optional, asName, shows } = one;
    const entry = { clientCert, passwordOptional: optional, usernameAsCommonName: asName };
    const entrance = entranceOf(setup({ entry, users: hasUsers ? new Map([["alice", ALICE_HASH]]) : undefined }));
    const certificates = shows === "certificate" || shows === "both" ? [CERT] : [];
    const user = shows === "login" || shows === "both" ? "alice" : shows === "stranger" ? "mallory" : undefined;
    const shown = login({ certificates, user, password: user === undefined ? undefined : "wonderland" });
    const found = outcome(entrance.judge(NOW, shown, undefined, HOME));
    expect([one, found]).toEqual([one, expected(one)]);
  }
});

describe("names", () => {
  test.each([
    ["an empty one", namedCertificate(""), 'is "", which is no name'],
    ["one of spaces", namedCertificate("  "), "is no name"],
    ["OpenVPN's word for nobody", namedCertificate("UNDEF"), "is no name"],
    ["none", namedCertificate(undefined), "has no CN"],
    ["one that is too long", namedCertificate("x".repeat(256)), "longer than 255 bytes"],
    ["no certificate at all", Uint8Array.of(0x30, 3, 1, 2, 3), "cannot be read"],
  ])("%s in the certificate lets nobody in, and the log says why", (_, certificate, words) => {
    const judged = entranceOf(setup({})).judge(NOW, login({ certificates: [certificate] }), undefined, HOME);
    expect(judged).toMatchObject({ kind: "refuse", reason: "", cause: expect.stringContaining(words) });
  });

  test("control characters become _, as with OpenVPN; others stay", () => {
    const entrance = entranceOf(
      setup({ users: new Map([["a_b", ALICE_HASH]]), entry: { usernameAsCommonName: true } }),
    );
    const shown = login({ certificates: [namedCertificate("Zoë\n/../x")], user: "a\u0007b", password: "x" });
    expect(entrance.judge(NOW, shown, undefined, HOME)).toMatchObject({
      kind: "password",
      user: "a_b",
      hash: ALICE_HASH,
      identity: { name: "a_b", user: "a_b" },
    });
    const byCertificate = entranceOf(setup({})).judge(NOW, shown, undefined, HOME);
    expect(byCertificate).toMatchObject({ kind: "accept", identity: { name: "Zoë_/../x" } });
  });

  test("a name or a password longer than a client can send is refused in OpenVPN's words", () => {
    const entrance = entranceOf(setup({ users: new Map([["alice", ALICE_HASH]]), entry: { clientCert: "none" } }));
    for (const shown of [
      { user: "a".repeat(128), password: "x" },
      { user: "alice", password: "é".repeat(64) },
    ])
      expect(entrance.judge(NOW, login(shown), undefined, HOME)).toMatchObject({
        kind: "refuse",
        reason: "Username or password is too long. Maximum length is 128 bytes",
      });
  });

  test("a refusal tells what the certificate calls it, whatever its login says", () => {
    const entrance = entranceOf(setup({ users: new Map([["alice", ALICE_HASH]]) }));
    const certificates = [namedCertificate("laptop")];
    for (const shown of [{}, { user: "alice", password: "é".repeat(64) }])
      expect(entrance.judge(NOW, login({ certificates, ...shown }), undefined, HOME)).toMatchObject({
        kind: "refuse",
        certificateName: "laptop",
      });
    const asked = entrance.judge(NOW, login({ certificates, user: "alice", password: "x" }), undefined, HOME);
    expect(asked).toMatchObject({ kind: "password", identity: { certificateName: "laptop" } });
  });

  test("no cause has a control character in it", () => {
    const entrance = entranceOf(setup({ entry: { clientFileNeeded: true } }));
    const bad = namedCertificate("c\u009b1\u202eevil");
    const judged = entrance.judge(NOW, login({ certificates: [bad] }), undefined, HOME) as { cause: string };
    expect(judged.cause).toContain('no file "c?1?evil" in ccd');
    const before = {
      name: "c1",
      isSingle: true,
      user: undefined,
      hash: undefined,
      certificateName: undefined,
      fingerprint: undefined,
      token: undefined,
    };
    const changed = entranceOf(setup({})).judge(NOW, login({ certificates: [bad] }), before, HOME);
    expect(changed).toMatchObject({ cause: expect.stringContaining('to "c?1?evil"') });
  });
});

describe("a password", () => {
  const users = new Map([["alice", ALICE_HASH]]);
  const entrance = () => entranceOf(setup({ users, entry: { clientCert: "none" } }));

  test("that is right lets in, one that is wrong does not, and neither does a user that is not there", () => {
    const door = entrance();
    const asked = identityOf(door, ALICE, HOME);
    expect(door.verified(NOW, asked, true)).toMatchObject({
      kind: "accept",
      identity: { name: "alice", user: "alice" },
    });
    const wrong = { kind: "refuse", reason: "wrong user name or password" } as const;
    expect(door.verified(NOW, asked, false)).toMatchObject(wrong);
    const stranger = identityOf(door, login({ user: "mallory", password: "x" }), HOME);
    expect(stranger.hash).toBeUndefined();
    // Whatever hash stood in for the missing one.
    expect(door.verified(NOW, stranger, true)).toMatchObject(wrong);
  });

  test("is not heard after ten wrong ones; the client is told when to come back", () => {
    const door = entrance();
    const asked = identityOf(door, ALICE, HOME);
    for (let i = 0; i < 10; i++) door.verified(NOW, asked, false);
    const refused = {
      kind: "refuse",
      reason: "Too many failed logins",
      temporary: { backoff: 60, advance: "no" },
      cause: expect.stringContaining('user "alice"'),
    };
    expect(door.judge(NOW, ALICE, undefined, ELSEWHERE)).toMatchObject(refused);
    // Also where it was asked for before: guessing at once is no better than one after the other.
    expect(door.verified(NOW, { ...asked, from: ELSEWHERE }, true)).toMatchObject(refused);
    expect(door.judge(NOW + 60, ALICE, undefined, ELSEWHERE)).toMatchObject({ kind: "password" });
  });

  test("wrong ones of a user that is not there are counted alike, so that nothing shows who is", () => {
    const door = entrance();
    const asked = identityOf(door, login({ user: "mallory", password: "x" }), HOME);
    for (let i = 0; i < 10; i++) door.verified(NOW, asked, false);
    expect(door.judge(NOW, login({ user: "mallory", password: "x" }), undefined, ELSEWHERE)).toMatchObject({
      reason: "Too many failed logins",
    });
  });

  test("who guesses elsewhere does not keep a user out of where it was in", () => {
    const door = entrance();
    door.verified(NOW, identityOf(door, ALICE, HOME), true);
    const guess = identityOf(door, ALICE, ELSEWHERE);
    for (let i = 0; i < 12; i++) door.verified(NOW, guess, false);
    expect(door.judge(NOW, ALICE, undefined, HOME)).toMatchObject({ kind: "password" });
  });
});

test("a password is that of the file that is read by then", () => {
  const of = (users: Map<string, string>) => setup({ users, entry: { clientCert: "none" } });
  const door = entranceOf(of(new Map([["alice", ALICE_HASH]])));
  const asked = identityOf(door, ALICE, HOME);
  door.reload(NOW, of(new Map([["alice", `${ALICE_HASH}2`]])));
  expect(door.verified(NOW, asked, true)).toMatchObject({ kind: "refuse" });
  door.reload(NOW, of(new Map([["alice", ALICE_HASH]])));
  expect(door.verified(NOW, asked, true)).toMatchObject({ kind: "accept" });
});

describe("a renegotiation makes nobody another", () => {
  const users = new Map([
    ["alice", ALICE_HASH],
    ["bob", ALICE_HASH],
  ]);

  test("neither name nor user nor certificate may change", () => {
    const entrance = entranceOf(setup({ users }));
    const shown = (name: string, user: string, serial = 1) =>
      login({ certificates: [namedCertificate(name, serial)], user, password: "wonderland" });
    const { identity } = identityOf(entrance, shown("c1", "alice"), HOME);
    const again = (other: ReturnType<typeof shown>) => entrance.judge(NOW, other, identity, HOME);
    expect(again(shown("c1", "alice"))).toMatchObject({ kind: "password" });
    expect(again(shown("c2", "alice"))).toMatchObject({
      // The client comes back with what it has; after a plain refusal openvpn ends.
      temporary: { advance: "no" },
      cause: expect.stringContaining('name changed from "c1" to "c2"'),
    });
    expect(again(shown("c1", "bob"))).toMatchObject({ cause: expect.stringContaining('user changed from "alice"') });
    expect(again(shown("c1", "alice", 2))).toMatchObject({ cause: expect.stringContaining("certificate changed") });
  });

  test("others' wrong passwords do not end a session, neither of its name nor of its address", () => {
    const entrance = entranceOf(setup({ users, entry: { clientCert: "none" } }));
    const asked = identityOf(entrance, ALICE, HOME);
    for (let i = 0; i < 40; i++) entrance.verified(NOW, asked, false);
    expect(entrance.judge(NOW, ALICE, undefined, HOME)).toMatchObject({ reason: "Too many failed logins" });
    const renewed = entrance.judge(NOW, ALICE, asked.identity, HOME);
    if (renewed.kind !== "password") throw new Error("no password is asked for");
    expect(entrance.verified(NOW, renewed, true)).toMatchObject({ kind: "accept" });
    expect(entrance.verified(NOW, renewed, false)).toMatchObject({ reason: "wrong user name or password" });
  });

  test("nor may a login come or go", () => {
    const entrance = entranceOf(setup({ users, entry: { passwordOptional: true } }));
    const bare = login({ certificates: [CERT] });
    const accepted = entrance.judge(NOW, bare, undefined, HOME);
    if (accepted.kind !== "accept") throw new Error("not let in");
    expect(entrance.judge(NOW, bare, accepted.identity, HOME)).toEqual(accepted);
    const more = entrance.judge(
      NOW,
      login({ certificates: [CERT], user: "alice", password: "x" }),
      accepted.identity,
      HOME,
    );
    expect(more).toMatchObject({ kind: "refuse" });
    const { identity } = identityOf(entrance, login({ certificates: [CERT], user: "alice", password: "x" }), HOME);
    expect(entrance.judge(NOW, bare, identity, HOME)).toMatchObject({ kind: "refuse" });
  });
});

describe("client-config-dir", () => {
  const c1 = login({ certificates: [CERT] });

  test("ccd-exclusive: only who has a file of its own, which neither DEFAULT nor that of nobody is", () => {
    const clients = new Map([file("c1"), file("DEFAULT"), file("UNDEF"), file("a_b")]);
    const entry = { clientFileNeeded: true, clientCert: "optional", passwordOptional: true } as const;
    const entrance = entranceOf(setup({ clients, entry, users: new Map([["alice", ALICE_HASH]]) }));
    const judged = (name: string) =>
      outcome(entrance.judge(NOW, login({ certificates: [namedCertificate(name)] }), undefined, HOME));
    expect(["c1", "c2", "DEFAULT", "a/b"].map(judged)).toEqual(["in as c1", "out", "out", "in as a/b"]);
    // Without a certificate the user is UNDEF, and the answer comes after the password.
    const asked = identityOf(entrance, ALICE, HOME);
    expect(entrance.verified(NOW, asked, true)).toMatchObject({
      kind: "refuse",
      cause: expect.stringContaining("ccd-exclusive"),
    });
  });

  test("disable keeps out, also for whom DEFAULT stands", () => {
    const clients = new Map([file("c1", { isDisabled: true })]);
    expect(entranceOf(setup({ clients })).judge(NOW, c1, undefined, HOME)).toMatchObject({
      kind: "refuse",
      cause: 'ccd/c1: disable keeps "c1" out',
    });
    const all = new Map([file("DEFAULT", { isDisabled: true }), file("c1")]);
    const judged = (name: string) =>
      outcome(
        entranceOf(setup({ clients: all })).judge(
          NOW,
          login({ certificates: [namedCertificate(name)] }),
          undefined,
          HOME,
        ),
      );
    expect(["c1", "c2"].map(judged)).toEqual(["in as c1", "out"]);
  });

  test("what it says of a user is not known before the password is right", () => {
    const clients = new Map([file("alice", { isDisabled: true })]);
    const users = new Map([["alice", ALICE_HASH]]);
    const entrance = entranceOf(setup({ clients, users, entry: { clientCert: "none", usernameAsCommonName: true } }));
    const asked = identityOf(entrance, ALICE, HOME);
    expect(entrance.verified(NOW, asked, true)).toMatchObject({
      kind: "refuse",
      cause: expect.stringContaining("disable"),
    });
  });
});

describe("who takes whose place", () => {
  const users = new Map([["alice", ALICE_HASH]]);
  const single = (entry: Partial<EntryConfig>, shown = ALICE, clients = new Map()) => {
    const entrance = entranceOf(setup({ users, clients, entry }));
    const judged = entrance.judge(NOW, shown, undefined, HOME);
    if (judged.kind === "refuse") throw new Error(judged.cause);
    return judged.identity.isSingle;
  };
  const both = login({ certificates: [CERT], user: "alice", password: "x" });

  test("a name is in once, but for duplicate-cn, and for users that are not names, as with OpenVPN", () => {
    expect(single({}, both)).toBe(true);
    expect(single({ duplicateNames: true }, both)).toBe(false);
    expect(single({ clientCert: "none" })).toBe(false);
    expect(single({ clientCert: "none", usernameAsCommonName: true })).toBe(true);
    expect(single({ clientCert: "none", usernameAsCommonName: true, duplicateNames: true })).toBe(false);
    expect(single({ clientCert: "optional" })).toBe(false);
  });

  test("a name with an address of its own is in once, also with duplicate-cn", () => {
    const address = { local: parseIp("10.8.0.77")!, second: parseIp("255.255.255.0")! };
    expect(single({ duplicateNames: true }, both, new Map([file("c1", { address })]))).toBe(true);
  });
});

test("a reload ends who would be another one in a renegotiation, for whom that would be a login that failed", () => {
  const users = new Map([["alice", ALICE_HASH]]);
  const shown = login({ certificates: [CERT], user: "alice", password: "x" });
  const cases = [
    [setup({ users, entry: { clientCert: "none" } }), /its name changed from "c1" to "alice"$/],
    [setup({}), /its user changed from "alice" to "none"$/],
    [setup({ users, entry: { usernameAsCommonName: true } }), /its name changed from "c1" to "alice"$/],
    [setup({ users, entry: { usernameAsCommonName: false } }), undefined],
  ] as const;
  for (const [next, cause] of cases) {
    const entrance = entranceOf(setup({ users }));
    const c1 = entrance.grant(NOW, { ...identityOf(entrance, shown, HOME).identity, hash: ALICE_HASH }) as Guest;
    const { gone } = entrance.reload(NOW, next);
    expect(gone).toEqual(cause === undefined ? [] : [{ guest: c1, cause: expect.stringMatching(cause) }]);
    const renewed = entrance.judge(NOW, shown, c1, HOME);
    expect(renewed.kind).toBe(cause === undefined ? "password" : "refuse");
  }
  // By the user's name from the beginning: the certificate alone is another one.
  const byName = (clientCert: "none" | "optional") =>
    setup({ users, entry: { usernameAsCommonName: true, clientCert } });
  const entrance = entranceOf(byName("optional"));
  const alice = entrance.grant(NOW, { ...identityOf(entrance, shown, HOME).identity, hash: ALICE_HASH }) as Guest;
  expect(entrance.reload(NOW, byName("none")).gone).toEqual([
    { guest: alice, cause: expect.stringMatching(/its certificate changed from "[0-9a-f]{64}" to "none"$/) },
  ]);
});
