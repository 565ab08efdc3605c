/** Who may come in, as simulations want it: whoever names a user, by the user's name; each gets an address of its own. */
import { Cidr } from "../../../src/lib/cidr.ts";
import { IpAddress } from "../../../src/lib/ip.ts";
import type {
  Accept,
  AskPassword,
  EntryDesk,
  Judgement,
  PasswordPort,
  Refuse,
} from "../../../src/protocol/server/entry.ts";
import type { Guest, Identity } from "../../../src/protocol/server/guest.ts";
import type { ClientLogin } from "../../../src/protocol/session/server.ts";

const FIRST = (10 << 24) | (8 << 16) | 2;

export class FakeDesk implements EntryDesk {
  /** Those that are refused, with the reason that they are told. */
  readonly refused = new Map<string, string>();
  /** Those whose password is asked for. */
  readonly withPassword = new Map<string, string>();
  /** What was given away and not taken back, by name. */
  readonly guests = new Map<Guest, string>();
  /** Logins that it judged. */
  readonly logins: ClientLogin[] = [];
  tokens = 0;
  /** Of each guest. */
  warnings: readonly string[] = [];
  hasTokens = false;
  /** Between two of one guest. */
  tokenSeconds = Number.POSITIVE_INFINITY;
  /** Who comes under a name takes the place of the one who is in. */
  isSingle = true;
  /** What certificates call those who log in by these names. */
  readonly certificateNames = new Map<string, string>();
  readonly #numbers = new Map<string, number>();

  judge(_unixSeconds: number, login: ClientLogin, earlier: Identity | undefined, from: IpAddress): Judgement {
    this.logins.push(login);
    const name = login.user ?? "nobody";
    const reason = this.refused.get(name);
    const certificateName = this.certificateNames.get(name);
    if (reason !== undefined) return { kind: "refuse", reason, cause: `${name} may not: ${reason}`, certificateName };
    if (earlier !== undefined && earlier.name !== name)
      return { kind: "refuse", reason: "another user", cause: `${name} is not ${earlier.name}` };
    const identity: Identity = {
      name,
      isSingle: this.isSingle,
      user: name,
      hash: undefined,
      certificateName,
      fingerprint: undefined,
      token: undefined,
    };
    const hash = this.withPassword.get(name);
    if (hash === undefined) return { kind: "accept", identity };
    return {
      kind: "password",
      user: name,
      password: login.password ?? "",
      hash,
      identity,
      from,
      isRenewal: earlier !== undefined,
    };
  }

  verified(_unixSeconds: number, { user, identity }: AskPassword, isRight: boolean): Accept | Refuse {
    if (isRight) return { kind: "accept", identity };
    return { kind: "refuse", reason: "wrong user name or password", cause: `the password of ${user} is wrong` };
  }

  grant(unixSeconds: number, identity: Identity): Guest {
    const taken = [...this.guests.keys()].filter((guest) => guest.name === identity.name).length;
    const key = `${identity.name} ${taken}`;
    const number = this.#numbers.get(key) ?? this.#numbers.size;
    this.#numbers.set(key, number);
    const address = IpAddress.fromIpv4(FIRST + number);
    const guest: Guest = {
      ...{
        ...identity,
        address,
        address6: undefined,
        networks: [new Cidr(address, 32)],
        since: unixSeconds,
        warnings: this.warnings,
      },
      options: ["topology subnet", `ifconfig ${address} 255.255.0.0`, "ping 10", "ping-restart 60"],
    };
    this.guests.set(guest, guest.name);
    return guest;
  }

  token(): string | undefined {
    return this.hasTokens ? `SESS_ID_AT_${this.tokens++}` : undefined;
  }

  untilToken(): number {
    return this.hasTokens ? this.tokenSeconds : Number.POSITIVE_INFINITY;
  }

  release(_unixSeconds: number, guest: Guest): void {
    if (!this.guests.delete(guest)) throw new Error(`${guest.name} is given back twice`);
  }
}

/** Passwords that are verified when the test says so: the hash is the password itself. */
export class FakePasswords implements PasswordPort {
  /** The test does not say so: they are verified in the next turn. */
  isPrompt = false;
  /** So many may wait. */
  room = Number.POSITIVE_INFINITY;
  /** What is taken back is answered all the same: it was under way. */
  answersAll = false;
  readonly #waiting: ((now: number) => void)[] = [];

  verify(hash: string | undefined, password: string, done: (now: number, isRight: boolean) => void) {
    if (this.#waiting.length >= this.room) return undefined;
    const answer = (now: number): void => done(now, hash === password);
    this.#waiting.push(answer);
    return () => {
      const at = this.#waiting.indexOf(answer);
      if (at >= 0 && !this.answersAll) this.#waiting.splice(at, 1);
    };
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  settle(now: number): void {
    for (const done of this.#waiting.splice(0)) done(now);
  }
}
