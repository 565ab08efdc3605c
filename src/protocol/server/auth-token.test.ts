import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../lib/random.ts";
import { noblePrimitives } from "../control/noble-primitives.ts";
import { AuthTokens, beginTokens, isToken, tokenKey } from "./auth-token.ts";

const USER = "test user name";
const RULES = { lifetime: 3000, renewal: 120 };
const ZERO = new AuthTokens(new Uint8Array(32), noblePrimitives);
/** OpenVPN's tokens are for whatever password. */
const ANY = "";
const base64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "base64"));

/** Numbers of OpenVPN's test_auth_token.c. */
const VECTORS = [
  {
    name: "a key of zeros",
    secret: new Uint8Array(256),
    session: { id: base64("0123456789abcdef"), began: 0 },
    made: 0,
    token: "SESS_ID_AT_0123456789abcdefAAAAAAAAAAAAAAAAAAAAAE5JsQJOVfo8jnI3RL3tBaR5NkE4yPfcylFUHmHSc5Bu",
  },
  {
    name: "a key out of a file",
    secret: base64(
      "+mmmf7IQ5cymtMVjKYTWk8IOcYanRlpQmV9Tb3EjkHYxueBVDg3yqRgzeBlVGzNLD//rAPiOVhau" +
        "3NDBjNOQB8951bfs7Cc2mYfay92Bh2gRJ5XEM/DMfzCWN+7uU6NWoTTHr4FuojnIQtjtqVAj/JS9" +
        "w+dTSp/vYHl+c7uHd19uVRu/qLqV85+rm4tUGIjO7FfYuwyPqwmhuIsi3hs9QkSimh888FmBpoKY" +
        "/tbKVTJZmSERKti9KEwtV2eVAR0znN5KW7lCB3mHVAhN7bUpcoDjfCzYIFARxwswTFu9gFkwqUMY" +
        "I1KUOgIsVNs4llACioeXplYekWETR+YkJwDc/A==",
    ),
    session: { id: base64("ThhRItzOKNKrh3df"), began: 0x5c331e9c },
    made: 0x5c331e9c,
    token: "SESS_ID_AT_ThhRItzOKNKrh3dfAAAAAFwzHpwAAAAAXDMenDdrq0RoH3dkA1f7O3wO+7kZcx2DusVZrRmFlWQM9HOb",
  },
];

describe.each(VECTORS)("OpenVPN's own: $name", ({ secret, session, made, token }) => {
  const tokens = new AuthTokens(tokenKey(secret), noblePrimitives);

  test("is made so", () => {
    expect(tokens.make(USER, ANY, session, made)).toBe(token);
    expect(isToken(token)).toBe(true);
  });

  test("is good", () => {
    expect(tokens.check(USER, ANY, token, RULES, made)).toEqual({ state: "valid", session });
  });

  test("is not good for another user, under another key, or changed anywhere", () => {
    expect(tokens.check("test user nam", ANY, token, RULES, made)).toEqual({ state: "invalid" });
    const other = new AuthTokens(new Uint8Array(32).fill(0x31), noblePrimitives);
    expect(other.check(USER, ANY, token, RULES, made)).toEqual({ state: "invalid" });
    for (let at = 0; at < token.length; at++) {
      const changed = `${token.slice(0, at)}${token[at] === "A" ? "B" : "A"}${token.slice(at + 1)}`;
      expect(tokens.check(USER, ANY, changed, RULES, made)).toEqual({ state: "invalid" });
    }
  });
});

test.each([
  ["at once", 100_000, 100_000, "valid"],
  ["before it was made", 100_000, 99_900, "expired"],
  ["up to twice its renewal", 100_000, 100_239, "valid"],
  ["not longer", 100_000, 100_240, "expired"],
  ["renewed, to the end of its lifetime", 102_900, 103_000, "valid"],
  ["not after it", 102_900, 103_001, "expired"],
  ["not where it was made before the login", 99_990, 100_000, "expired"],
] as const)("a token of a login at 100,000 is good %s (lifetime 3000, renewal 120)", (_, made, at, state) => {
  const session = { id: new Uint8Array(12).fill(7), began: 100_000 };
  expect(ZERO.check(USER, ANY, ZERO.make(USER, ANY, session, made), RULES, at).state).toBe(state);
});

test("lifetime 0 never ends, and renewal 0 leaves it to the lifetime", () => {
  const session = { id: new Uint8Array(12), began: 100_000 };
  const token = (made: number): string => ZERO.make(USER, ANY, session, made);
  const forEver = { lifetime: 0, renewal: 120 };
  expect(ZERO.check(USER, ANY, token(100_000_000), forEver, 100_000_100).state).toBe("valid");
  expect(ZERO.check(USER, ANY, token(100_000), { lifetime: 3000, renewal: 0 }, 103_000).state).toBe("valid");
  expect(ZERO.check(USER, ANY, token(100_000), { lifetime: 3000, renewal: 0 }, 103_001).state).toBe("expired");
});

test("one that was given for a password is good with that one alone", () => {
  const session = { id: new Uint8Array(12), began: 0 };
  const token = ZERO.make(USER, "$argon2id$one", session, 0);
  const states = ["$argon2id$one", "$argon2id$other", ANY].map(
    (hash) => ZERO.check(USER, hash, token, RULES, 10).state,
  );
  expect(states).toEqual(["valid", "invalid", "invalid"]);
});

test("one of a login without a name says so", () => {
  const session = { id: new Uint8Array(12), began: 0 };
  const token = ZERO.make("", ANY, session, 0);
  expect(ZERO.check(USER, ANY, token, RULES, 10).state).toBe("valid-empty-user");
  expect(ZERO.check(USER, ANY, token, RULES, 1000).state).toBe("expired-empty-user");
  expect(ZERO.check("", ANY, token, RULES, 10).state).toBe("valid");
});

test("a token is recognised by its beginning and its length (CVE-2026-13122: anything may stand there)", () => {
  const good = VECTORS[0]!.token;
  const wrong = [
    "",
    "SESS_ID_AT_",
    good.slice(0, -1),
    `${good}A`,
    good.replace("SESS", "sess"),
    `SESS_ID_AT_${"=".repeat(80)}`,
    `SESS_ID_AT_${"é".repeat(80)}`,
    `SESS_ID_AT_${"A".repeat(76)}AA==`,
    `SESS_ID_AT_${"\0".repeat(80)}`,
  ];
  for (const text of wrong) expect(ZERO.check(USER, ANY, text, RULES, 0)).toEqual({ state: "invalid" });
  expect(wrong.slice(0, 5).map(isToken)).toEqual([false, false, false, false, false]);
});

test("times of 64 bits pass unchanged", () => {
  const session = beginTokens(seededRandom(1), 0x3_0000_0005);
  const token = ZERO.make(USER, ANY, session, 0x3_0000_0009);
  expect(ZERO.check(USER, ANY, token, RULES, 0x3_0000_0010)).toEqual({ state: "valid", session });
  expect(beginTokens(seededRandom(2), 1).id).not.toEqual(session.id);
});
