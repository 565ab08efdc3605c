/**
 * Who may come in, and what they get. Pure: what it is asked it answers at once, but for whether a password is right, which its owner
 * finds out and says to {@link Entrance.verified}. Source: OpenVPN's ssl_verify.c (verify_user_pass, verify_final_auth_checks) and
 * multi.c (multi_select_virtual_addr); where this differs, the place says so.
 *
 *     judge --password--> verified --accept--> (older sessions of the name end) grant --> token, token, ... --> release
 */
import type { Cidr } from "../../lib/cidr.ts";
import type { IpAddress } from "../../lib/ip.ts";
import type { Random } from "../../lib/random.ts";
import { oneLine, printable } from "../config/lexer.ts";
import type { ClientFile, EntryConfig, ServerNetworkConfig } from "../config/server-types.ts";
import type { DeviceType, VerifyConfig } from "../config/types.ts";
import { encodeUtf8 } from "../config/utf8.ts";
import { equalBytes } from "../equal.ts";
import type { ControlPrimitives } from "../ports.ts";
import type { ClientLogin } from "../session/server.ts";
import { Attempts } from "./attempts.ts";
import { AuthTokens, beginTokens, isToken, type TokenSession, tokenKey } from "./auth-token.ts";
import { certificateName, fileOf, hasOwnFile, remapped } from "./client-name.ts";
import type { Accept, AskPassword, EntryDesk, Judgement, Refuse, Refused } from "./entry.ts";
import type { Guest, Identity } from "./guest.ts";
import { Guests } from "./guests.ts";
import type { PoolLease } from "./pool.ts";
import { NOBODY } from "./reserved-names.ts";
import { MAX_LOGIN_BYTES } from "./user-name.ts";

/** What of a server's configuration and files decides here. */
export interface EntranceSetup {
  readonly config: {
    /** With tap clients may have addresses that are none of this server's business. */
    readonly deviceType?: DeviceType;
    readonly entry: EntryConfig;
    readonly network: ServerNetworkConfig;
    readonly limits: { readonly maxRoutesPerClient: number };
    readonly push: readonly string[];
    readonly pushTimers: readonly string[];
    readonly verify: Pick<VerifyConfig, "usernameFields">;
  };
  /** The files of client-config-dir by their names. */
  readonly clients: ReadonlyMap<string, ClientFile>;
  /** Hashes of passwords by user (users.ts); undefined: nobody is asked for a login. */
  readonly users: ReadonlyMap<string, string> | undefined;
  /** Networks that no client may have. */
  readonly lan: readonly Cidr[];
}

export interface EntrancePorts {
  readonly primitives: ControlPrimitives;
  readonly random: Random;
  /** 32 bytes for tokens where the configuration names no auth-gen-token-secret; the same after a restart, so that tokens outlive it. */
  readonly tokenKey: Uint8Array;
}

/** What a reload means for those who are in. */
export interface Reloaded {
  /** Who may not stay; each is to be ended, and then released as ever. */
  readonly gone: readonly { readonly guest: Guest; readonly cause: string }[];
  /** Who has other networks or options now: the new guest stands in the place of the old one. */
  readonly changed: readonly { readonly guest: Guest; readonly now: Guest }[];
  /** Of the pool: leases that do not fit any more. */
  readonly problems: readonly string[];
}

/** As OpenVPN's server says it (ssl.c, key_method_2_read; auth_token.c); clients know the first word. */
const TOO_LONG = "Username or password is too long. Maximum length is 128 bytes";
const TOKEN_EXPIRED = "SESSION: token expired";
/** Who does not know the password hears no more than that, also where there is no such user. */
const WRONG_LOGIN = "wrong user name or password";
/** Told a client that is another one than it was in the same session. */
const ANOTHER = "The session is another client's; log in anew";
/** OpenVPN says nothing here; with the word a client does not take its password for wrong. */
const TOKEN_INVALID = "SESSION: token not valid";

export class Entrance implements EntryDesk {
  readonly #ports: EntrancePorts;
  readonly #attempts = new Attempts();
  readonly #guests: Guests;
  #setup: EntranceSetup;
  #tokens: AuthTokens;

  constructor(setup: EntranceSetup, ports: EntrancePorts) {
    this.#ports = ports;
    this.#setup = setup;
    this.#tokens = this.#makeTokens();
    this.#guests = new Guests(setup);
  }

  /**
   * @param earlier of this session, in a renegotiation: it must be the same
   * @param from where the client is
   */
  judge(unixSeconds: number, login: ClientLogin, earlier: Identity | undefined, from: IpAddress): Judgement {
    const { entry, verify } = this.#setup.config;
    // With "none" nobody has looked at a certificate that might be there.
    const leaf = entry.clientCert === "none" ? undefined : login.certificates[0];
    if (leaf === undefined && entry.clientCert === "require")
      return refuse("", "it shows no certificate, and verify-client-cert asks for one");
    const found = leaf === undefined ? undefined : certificateName(leaf, verify.usernameFields);
    if (found?.ok === false) return refuse("", found.problem);
    const judgement = this.#judgeLogin(unixSeconds, login, found, earlier, from);
    return judgement.kind === "refuse" ? { ...judgement, certificateName: found?.name } : judgement;
  }

  /** @param found who it is by its certificate; undefined: there is none that counts */
  #judgeLogin(
    unixSeconds: number,
    login: ClientLogin,
    found: Named | undefined,
    earlier: Identity | undefined,
    from: IpAddress,
  ): Judgement {
    const { users } = this.#setup;
    const user = users === undefined || login.user === "" ? undefined : login.user;
    if (user === undefined) return this.#withoutLogin(found, earlier);
    const password = login.password ?? "";
    if (isLong(user) || isLong(password))
      return refuse(TOO_LONG, `user name or password is longer than ${MAX_LOGIN_BYTES} bytes`);
    const identity = this.#identity(found, remapped(user), earlier?.token);
    const change = changed(earlier, identity);
    if (change !== undefined) return change;
    return isToken(password)
      ? this.#byToken(unixSeconds, identity, password, earlier)
      : this.#byPassword(unixSeconds, identity, password, from, earlier !== undefined);
  }

  /** What a password came to. A right one is refused all the same where too many wrong ones came in the meantime. */
  verified(unixSeconds: number, asked: AskPassword, isRight: boolean): Accept | Refuse {
    const { user, hash, identity, from, isRenewal } = asked;
    const blocked = isRenewal ? undefined : this.#blocked(unixSeconds, user, from);
    if (blocked !== undefined) return blocked;
    // Another file may have been read in the meantime.
    if (!isRight || hash === undefined || this.#setup.users?.get(user) !== hash) {
      this.#attempts.failed(unixSeconds, user, from);
      return refuse(
        WRONG_LOGIN,
        hash === undefined
          ? `there is no user "${printable(user)}" in the file of users (users.txt)`
          : `the password of user "${printable(user)}" is wrong`,
      );
    }
    this.#attempts.succeeded(user, from);
    const getsTokens = this.#setup.config.entry.token !== undefined;
    const token = getsTokens ? (identity.token ?? beginTokens(this.#ports.random, unixSeconds)) : undefined;
    return this.#admit({ ...identity, hash, token });
  }

  /**
   * What a client that was accepted gets, until it is released. An older session of its name is gone by then where it is a single one
   * ({@link Identity.isSingle}). OpenVPN lets a client in for which no address is left; this does not.
   */
  grant(unixSeconds: number, identity: Identity): Guest | Refused {
    return this.#guests.add(unixSeconds, identity);
  }

  /**
   * The auth-token to push: at the first call, and then whenever auth-gen-token's renewal has passed. OpenVPN asks at the push, after each
   * renegotiation and each `renewal` seconds.
   */
  token(unixSeconds: number, guest: Guest): string | undefined {
    const { token, user, hash } = guest;
    if (token === undefined || user === undefined || hash === undefined || this.untilToken(unixSeconds, guest) > 0)
      return undefined;
    this.#guests.tokenMade(unixSeconds, guest);
    return this.#tokens.make(user, hash, token, unixSeconds);
  }

  untilToken(unixSeconds: number, guest: Guest): number {
    const rules = this.#setup.config.entry.token;
    const { token, user } = guest;
    if (rules === undefined || token === undefined || user === undefined) return Number.POSITIVE_INFINITY;
    if (rules.lifetime > 0 && unixSeconds > token.began + rules.lifetime) return Number.POSITIVE_INFINITY;
    return this.#guests.untilToken(unixSeconds, guest, rules.renewal);
  }

  /** A second time it has no meaning. */
  release(unixSeconds: number, guest: Guest): void {
    this.#guests.remove(unixSeconds, guest);
  }

  /** Who has, or had, which addresses of the pool: what is to outlive a restart. */
  leases(): PoolLease[] {
    return this.#guests.pool.leases();
  }

  /**
   * Takes {@link leases} of before, or of a file (pool-file.ts), before the first client.
   * @returns what was left out, each a sentence
   */
  restore(unixSeconds: number, leases: readonly PoolLease[]): string[] {
    return this.#guests.pool.restore(unixSeconds, leases);
  }

  /** The users and the files of clients that it goes by. */
  get files(): Pick<EntranceSetup, "clients" | "users"> {
    return this.#setup;
  }

  /** Another configuration or other files; who is in, leases and failed attempts stay. */
  reload(unixSeconds: number, setup: EntranceSetup): Reloaded {
    this.#setup = setup;
    this.#tokens = this.#makeTokens();
    return this.#guests.reload(unixSeconds, setup, (guest) => this.#mayStay(guest));
  }

  /** Judged by its certificate alone. */
  #withoutLogin(found: Named | undefined, earlier: Identity | undefined): Accept | Refuse {
    const { entry } = this.#setup.config;
    const { users } = this.#setup;
    if (users !== undefined && !entry.passwordOptional)
      return refuse(
        "Username and password are needed",
        "it shows no user and password; its profile needs auth-user-pass, or the server's auth-user-pass-optional",
      );
    if (found === undefined)
      return refuse(
        "",
        users === undefined && entry.clientCert === "none"
          ? "this server asks for neither a certificate nor a login, so that nobody can come in; name a file of users (users.txt)"
          : "it shows neither a certificate nor a user",
      );
    const identity = this.#identity(found, undefined, undefined);
    return changed(earlier, identity) ?? this.#admit(identity);
  }

  /** A token is as good as the password that it was given for, as long as the user has that one. */
  #byToken(unixSeconds: number, identity: Identity, token: string, earlier: Identity | undefined): Accept | Refuse {
    const { user = "" } = identity;
    const who = `the token of user "${printable(user)}"`;
    const rules = this.#setup.config.entry.token;
    if (rules === undefined)
      return refuse(TOKEN_INVALID, `${who} is none of this server's, which gives none (auth-gen-token)`);
    const hash = this.#setup.users?.get(user);
    const check = this.#tokens.check(user, hash ?? "", token, rules, unixSeconds);
    if (check.state === "expired") return refuse(TOKEN_EXPIRED, `${who} is over; the client has to log in anew`);
    if (hash === undefined)
      return refuse(TOKEN_INVALID, `there is no user "${printable(user)}" in the file of users (users.txt)`);
    if (check.state !== "valid")
      return refuse(TOKEN_INVALID, `${who} was not given by this server, or to another user, or for another password`);
    // OpenVPN: the session id must not change.
    if (earlier?.token !== undefined && !equalBytes(earlier.token.id, check.session.id))
      return refuse(TOKEN_INVALID, `${who} is of another session`);
    return this.#admit({ ...identity, hash, token: check.session });
  }

  /** In a renegotiation nothing is guessed that is not known: others' wrong passwords do not end a session. */
  #byPassword(
    unixSeconds: number,
    identity: Identity,
    password: string,
    from: IpAddress,
    isRenewal: boolean,
  ): Refuse | AskPassword {
    const { user = "" } = identity;
    const blocked = isRenewal ? undefined : this.#blocked(unixSeconds, user, from);
    const hash = this.#setup.users?.get(user);
    return blocked ?? { kind: "password", user, password, hash, identity, from, isRenewal };
  }

  #blocked(unixSeconds: number, user: string, from: IpAddress): Refuse | undefined {
    const blocked = this.#attempts.blocked(unixSeconds, user, from);
    if (blocked === undefined) return undefined;
    const { by, seconds } = blocked;
    const whose = by === "name" ? `user "${printable(user)}"` : `the address ${from}`;
    return {
      ...refuse("Too many failed logins", `too many failed logins of ${whose}: the next one is heard in ${seconds} s`),
      temporary: { backoff: seconds, advance: "no" },
    };
  }

  /**
   * The common name is the certificate's, or the user's with username-as-common-name. OpenVPN has none for a user without a certificate
   * otherwise; here he is called by his own where nobody has one (verify-client-cert none), so that he keeps address and file, and
   * as in OpenVPN may be in more than once.
   */
  #identity(found: Named | undefined, user: string | undefined, token: TokenSession | undefined): Identity {
    const { entry } = this.#setup.config;
    const isByUser = entry.usernameAsCommonName && this.#setup.users !== undefined;
    const own = entry.clientCert === "none" ? user : undefined;
    const name = (isByUser ? user : (found?.name ?? own)) ?? NOBODY;
    const isOfSomebody = isByUser ? user !== undefined : found !== undefined;
    const hasOwnAddress = fileOf(this.#setup.clients, name)?.address !== undefined;
    return {
      name,
      // An address of its own can be had once, also with duplicate-cn.
      isSingle: hasOwnAddress || (isOfSomebody && !entry.duplicateNames),
      user,
      hash: undefined,
      certificateName: found?.name,
      fingerprint: found?.fingerprint,
      token,
    };
  }

  /** The last question, when all others are answered, so that nobody learns the answer before he has shown who he is. */
  #admit(identity: Identity): Accept | Refuse {
    const cause = this.#closedTo(identity.name);
    return cause === undefined ? { kind: "accept", identity } : refuse("", cause);
  }

  #closedTo(name: string): string | undefined {
    const { config, clients } = this.#setup;
    const { clientFileNeeded, clientFolder } = config.entry;
    if (clientFileNeeded && !hasOwnFile(clients, name))
      return `ccd-exclusive: there is no file "${printable(name)}" in ${clientFolder?.name ?? "client-config-dir"}`;
    const file = fileOf(clients, name);
    return file?.isDisabled === true ? `${file.file}: disable keeps "${printable(name)}" out` : undefined;
  }

  /** What a renegotiation would refuse, now. */
  #mayStay(guest: Guest): string | undefined {
    const { name, user, hash, fingerprint, certificateName } = guest;
    const { users } = this.#setup;
    const { clientCert, passwordOptional } = this.#setup.config.entry;
    if (clientCert === "require" && fingerprint === undefined)
      return "it came in without a certificate, and verify-client-cert asks for one now";
    if (users !== undefined && user === undefined && !passwordOptional)
      return "it came in without user and password, which are asked for now";
    if (user !== undefined && users !== undefined) {
      const now = users.get(user);
      if (now === undefined) return `there is no user "${printable(user)}" in the file of users any more`;
      if (now !== hash) return `the password of user "${printable(user)}" is another one now`;
    }
    const isNamed = clientCert !== "none" && fingerprint !== undefined && certificateName !== undefined;
    const found = isNamed ? { name: certificateName, fingerprint } : undefined;
    const again = this.#identity(found, users === undefined ? undefined : user, guest.token);
    const change = difference(guest, again);
    return change === undefined ? this.#closedTo(name) : `as it is now, ${change}`;
  }

  #makeTokens(): AuthTokens {
    const secret = this.#setup.config.entry.token?.secret;
    return new AuthTokens(secret === undefined ? this.#ports.tokenKey : tokenKey(secret), this.#ports.primitives);
  }
}

interface Named {
  readonly name: string;
  readonly fingerprint: string;
}

const refuse = (reason: string, cause: string): Refuse => ({ kind: "refuse", reason, cause: oneLine(cause) });

const isLong = (text: string): boolean => encodeUtf8(text).length > MAX_LOGIN_BYTES;

/**
 * OpenVPN's locked name, user and certificate: a renegotiation makes nobody another. Whoever is another one, by other rules since a reload
 * too (x509-username-field), may come anew: after a plain AUTH_FAILED the client's program would end.
 */
function changed(earlier: Identity | undefined, now: Identity): Refuse | undefined {
  const change = earlier === undefined ? undefined : difference(earlier, now);
  if (change === undefined) return undefined;
  return { ...refuse(ANOTHER, `in a renegotiation ${change}`), temporary: { backoff: undefined, advance: "no" } };
}

function difference(earlier: Identity, now: Identity): string | undefined {
  const differs = (what: string, before = "none", after = "none"): string | undefined =>
    before === after ? undefined : `its ${what} changed from "${before}" to "${after}"`;
  return (
    differs("name", earlier.name, now.name) ??
    differs("user", earlier.user, now.user) ??
    differs("certificate", earlier.fingerprint, now.fingerprint)
  );
}
