/** Who may come in to a server: the files that say so, tokens, and whatever clients show, with everything that may happen to those who are in. */
import "reflect-metadata";
import { parseCidr } from "../../src/lib/cidr.ts";
import { IpAddress, parseIp } from "../../src/lib/ip.ts";
import { decodeUtf8 } from "../../src/protocol/config/utf8.ts";
import { noblePrimitives } from "../../src/protocol/control/noble-primitives.ts";
import { AuthTokens, isToken } from "../../src/protocol/server/auth-token.ts";
import type { Entrance, EntranceSetup } from "../../src/protocol/server/entrance.ts";
import type { AskPassword } from "../../src/protocol/server/entry.ts";
import type { Guest, Identity } from "../../src/protocol/server/guest.ts";
import { formatPoolFile, parsePoolFile } from "../../src/protocol/server/pool-file.ts";
import { entranceOf, file, login, setup } from "../../src/protocol/server/testing/entrance-bed.ts";
import { parseUsers } from "../../src/protocol/server/users.ts";
import { namedCertificate } from "../../test/support/named-certificate.ts";
import { Decisions, type Target } from "../target.ts";

const TOKENS = new AuthTokens(new Uint8Array(32), noblePrimitives);
const OWN = TOKENS.make("ann", "$hash", { id: new Uint8Array(12), began: 1000 }, 1000);
const RULES = { lifetime: 3600, renewal: 120 };

/** A message without what differs from input to input. */
const plain = (text: string): string => text.replace(/["`].*["`]/gs, "").replace(/\d+/g, "#");

/** Lines of users.txt, of ipp.txt, and what stands in the place of a password. */
export const entryFiles: Target = {
  run(input, seen) {
    const text = decodeUtf8(input);
    const users = parseUsers({ file: "users.txt", text });
    if (users.ok) seen(`users ${Math.min(3, users.users.size)}`);
    else for (const { problem } of users.problems) seen(plain(problem));
    const pool = parsePoolFile({ file: "ipp.txt", text }, false);
    seen(`leases ${Math.min(3, pool.leases.length)} ${pool.problems.length > 0}`);
    const again = parsePoolFile({ file: "ipp.txt", text: formatPoolFile(pool.leases, false) }, false);
    if (again.problems.length > 0) throw new Error("what is written is not read back");
    for (const token of [text, `SESS_ID_AT_${text}`]) {
      const { state } = TOKENS.check("ann", "$hash", token, RULES, 1000);
      if (state !== "invalid" && token !== OWN) throw new Error("a token that nobody made is good");
      seen(`token ${isToken(token)} ${state}`);
    }
  },
};

const NAMES = ["c1", "c2", "c3", "DEFAULT", "UNDEF", "a/b", "", "ann"];
const CERTIFICATES = NAMES.map((name) => namedCertificate(name));
const at = (local: string) => ({ address: { local: parseIp(local)!, second: parseIp("255.255.255.248")! } });
const networks = ["10.1.0.0/16", "192.168.50.0/25", "10.8.0.4/32", "fd00::/64"].map((text) => parseCidr(text)!);
const SIX = { address6: parseCidr("fd00::1/64"), pool6: parseCidr("fd00::8/125") };
const SMALL = { address: parseCidr("10.8.0.1/29"), pool: { first: parseIp("10.8.0.2")!, last: parseIp("10.8.0.6")! } };
const lan = [parseCidr("192.168.50.1/24")!];
const users = new Map([
  ["ann", "hash of ann"],
  ["c1", "hash of c1"],
]);
const SETUPS: readonly EntranceSetup[] = [
  setup({ network: SMALL, lan }),
  setup({ network: { ...SMALL, ...SIX }, lan, clients: new Map([file("c1", { ...at("10.8.0.3"), networks })]) }),
  setup({
    network: { ...SMALL, ...SIX },
    lan,
    clients: new Map([file("c2", { ...at("10.8.0.3"), networks }), file("DEFAULT", { networks })]),
  }),
  setup({ network: SMALL, entry: { duplicateNames: true }, clients: new Map([file("c3", at("10.9.0.3"))]) }),
  setup({
    users,
    network: { ...SMALL, ...SIX },
    entry: { clientCert: "optional", passwordOptional: true, token: { ...RULES, secret: undefined } },
  }),
  setup({ users, entry: { clientCert: "none", usernameAsCommonName: true, token: { ...RULES, secret: undefined } } }),
  setup({ clients: new Map([file("c1", { isDisabled: true }), file("a_b", {})]), entry: { clientFileNeeded: true } }),
  setup({
    network: { ...SMALL, topology: "net30", pool: { first: parseIp("10.8.0.4")!, last: parseIp("10.8.0.15")! } },
  }),
];

class Door {
  readonly guests = new Set<Guest>();
  readonly #seen: (what: string) => void;
  readonly #entrance: Entrance;
  #asked: AskPassword | undefined;
  #identity: Identity | undefined;
  #token = "";
  #now = 100_000;

  constructor(first: EntranceSetup, seen: (what: string) => void) {
    this.#entrance = entranceOf(first);
    this.#seen = seen;
  }

  step(decisions: Decisions): void {
    const entrance = this.#entrance;
    this.#now += decisions.byte() * (decisions.below(4) === 0 ? -7 : 1);
    const now = this.#now;
    const guest = [...this.guests][decisions.below(Math.max(1, this.guests.size))];
    switch (decisions.below(8)) {
      case 0:
      case 1: {
        const certificate = decisions.below(8);
        const shown = login({
          certificates: certificate === 7 ? [decisions.take(40)] : [CERTIFICATES[certificate]!],
          user: [undefined, "ann", "c1", "mallory", decodeUtf8(decisions.take(3))][decisions.below(5)],
          password: [undefined, "x", this.#token, OWN][decisions.below(4)],
        });
        const judged = entrance.judge(
          now,
          shown,
          decisions.below(4) === 0 ? guest : undefined,
          IpAddress.fromIpv4(decisions.below(3)),
        );
        this.#seen(judged.kind === "refuse" ? plain(judged.cause) : judged.kind);
        if (judged.kind === "password") this.#asked = judged;
        if (judged.kind === "accept") this.#identity = judged.identity;
        break;
      }
      case 2: {
        if (this.#asked === undefined) break;
        const verdict = entrance.verified(now, this.#asked, decisions.below(4) !== 0);
        this.#seen(`verified ${verdict.kind}`);
        if (verdict.kind === "accept") this.#identity = verdict.identity;
        break;
      }
      case 3:
      case 4:
        if (this.#identity !== undefined) this.#enter(this.#identity, decisions.below(4) !== 0);
        break;
      case 5:
        if (guest === undefined) break;
        this.#token = entrance.token(now, guest) ?? this.#token;
        break;
      case 6:
        if (guest === undefined) break;
        entrance.release(now, guest);
        this.guests.delete(guest);
        break;
      case 7:
        this.#reload(SETUPS[decisions.below(SETUPS.length)]!);
    }
    this.#check();
  }

  /** @param heeds older sessions of the name end, as the owner of an entrance has it */
  #enter(identity: Identity, heeds: boolean): void {
    const older = [...this.guests].filter(({ name }) => name === identity.name);
    if (heeds && identity.isSingle)
      for (const guest of older) {
        this.#entrance.release(this.#now, guest);
        this.guests.delete(guest);
      }
    const granted = this.#entrance.grant(this.#now, identity);
    if ("refused" in granted) return this.#seen(plain(granted.refused));
    for (const text of granted.warnings) this.#seen(plain(text));
    this.guests.add(granted);
  }

  #reload(next: EntranceSetup): void {
    const { gone, changed } = this.#entrance.reload(this.#now, next);
    for (const { guest, cause } of gone) {
      if (cause === "" || !this.guests.delete(guest))
        throw new Error("somebody is gone who was not in, or without a cause");
      this.#entrance.release(this.#now, guest);
      this.#seen(`gone: ${plain(cause)}`);
    }
    for (const { guest, now } of changed) {
      if (!this.guests.delete(guest)) throw new Error("somebody changed who was not in");
      this.guests.add(now);
      this.#seen("changed");
    }
  }

  /** No two have a network in common, nobody has one of the LAN or the server's own address, and the pool knows who is in. */
  #check(): void {
    const owners = new Set<string>();
    for (const guest of this.guests) {
      if (guest.networks.length === 0) throw new Error("a guest without an address");
      for (const network of guest.networks) {
        if (owners.has(`${network}`)) throw new Error(`${network} is two clients'`);
        owners.add(`${network}`);
      }
    }
    for (const own of ["10.8.0.1/32", "fd00::1/128", "10.8.0.0/32"])
      if (owners.has(own)) throw new Error(`${own} is a client's`);
    for (const { name, address, address6, releasedAt } of this.#entrance.leases()) {
      if (releasedAt !== undefined) continue;
      const isIn = [...this.guests].some(
        (guest) =>
          guest.name === name &&
          [guest.address, guest.address6].some(
            (own) => own !== undefined && (address?.equals(own) || address6?.equals(own)),
          ),
      );
      if (!isIn) throw new Error(`the pool says that ${name} is in`);
    }
  }
}

/** What may happen at the door of a server, in any order. */
export const entry: Target = {
  runs: 300,
  run(input, seen) {
    const decisions = new Decisions(input);
    const door = new Door(SETUPS[decisions.below(SETUPS.length)]!, seen);
    for (let i = 0; i < 40 && decisions.left > 0; i++) door.step(decisions);
  },
};
