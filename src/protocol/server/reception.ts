/**
 * What happens between a client's login and its options: it is judged, its password verified, an older session of the same name
 * ends, and it is given what it gets. A renegotiation logs in again: it must still be let in, as the same one.
 */
import type { ServerLimits } from "../config/server-types.ts";
import { composePush } from "../push/compose.ts";
import type { ClientLogin } from "../session/server.ts";
import { placeOf } from "./attempts.ts";
import type { AskPassword, EntryDesk, PasswordPort, Refuse, ShownNames } from "./entry.ts";
import type { Guest, Identity } from "./guest.ts";
import type { Peer } from "./peer.ts";

const FULL = "the server has as many clients as it takes";
/** Our choice: so many seconds later somebody may have left. */
const FULL_BACKOFF_S = 10;
const BUSY = "the server has too many logins to look into";
/** Our choices: so many passwords from one address are looked into or wait, and who is over that comes again so many seconds later. */
const ASKED_OF_PLACE = 32;
const BUSY_BACKOFF_S = 5;

export interface ReceptionOptions {
  readonly desk: EntryDesk;
  readonly passwords: PasswordPort;
  readonly limits: Pick<ServerLimits, "maxClients">;
}

/** What the owner of the peers does for it. */
export interface ReceptionOwner {
  readonly unixSeconds: () => number;
  /** Ends a session whose name another one has. */
  replace(now: number, peer: Peer): void;
  /** A peer was let in: at its address it takes the place of whoever was there. */
  admitted(now: number, peer: Peer): void;
  /** To be logged. */
  refused(now: number, peer: Peer, shown: ShownNames, cause: string): void;
  /** Does something for a peer outside of what it is handled in: what that throws ends the peer. */
  attend(now: number, peer: Peer, act: () => void): void;
}

export class Reception {
  readonly #owner: ReceptionOwner;
  #options: ReceptionOptions;
  /** Who is in, by name. */
  readonly #byName = new Map<string, Set<Peer>>();
  #count = 0;
  /** Passwords that are being found out, by where they come from. */
  readonly #asked = new Map<string, number>();

  constructor(owner: ReceptionOwner, options: ReceptionOptions) {
    this.#owner = owner;
    this.#options = options;
  }

  /** From now on others decide; who is in stays in until its next renegotiation. */
  replaceOptions(options: ReceptionOptions): void {
    this.#options = options;
  }

  /** How many are in. */
  get count(): number {
    return this.#count;
  }

  /** Who is in under a name. */
  named(name: string): readonly Peer[] {
    return [...(this.#byName.get(name) ?? [])];
  }

  /** A peer's session asks for a verdict. */
  handle(now: number, peer: Peer, login: ClientLogin, isRenewal: boolean): void {
    this.#forget(peer);
    const { desk } = this.#options;
    const earlier = isRenewal ? peer.guest : undefined;
    const judgement = desk.judge(this.#owner.unixSeconds(), login, earlier, peer.link.endpoint.address);
    switch (judgement.kind) {
      case "accept":
        return this.#accept(now, peer, judgement.identity, isRenewal);
      case "refuse":
        return this.#refuse(now, peer, shownBy(login.user, judgement.certificateName), judgement);
      case "password":
        return this.#ask(now, peer, judgement, isRenewal);
    }
    judgement satisfies never;
  }

  /** Somebody who is in has become another guest of the same name. */
  rename(peer: Peer, guest: Guest): void {
    if (peer.guest !== undefined) peer.guest = guest;
  }

  /** A peer leaves, whether it was in or not. */
  leave(peer: Peer): void {
    this.#forget(peer);
    const { guest } = peer;
    if (guest === undefined) return;
    peer.guest = undefined;
    this.#count--;
    const others = this.#byName.get(guest.name);
    others?.delete(peer);
    if (others?.size === 0) this.#byName.delete(guest.name);
    this.#options.desk.release(this.#owner.unixSeconds(), guest);
  }

  /** One address does not take all the room that there is; who is in already is not kept out by others. */
  #ask(now: number, peer: Peer, asked: AskPassword, isRenewal: boolean): void {
    const { desk, passwords } = this.#options;
    const { user, password, hash, from, identity } = asked;
    const shown = shownBy(user, identity.certificateName);
    const place = placeOf(from);
    const ofPlace = this.#asked.get(place) ?? 0;
    const done = (): void => {
      peer.takeBack = undefined;
      const left = (this.#asked.get(place) ?? 0) - 1;
      if (left > 0) this.#asked.set(place, left);
      else this.#asked.delete(place);
    };
    let cancel: (() => void) | undefined;
    if (isRenewal || ofPlace < ASKED_OF_PLACE)
      cancel = passwords.verify(hash, password, (at, isRight) => {
        if (peer.takeBack !== takeBack) return;
        done();
        this.#owner.attend(at, peer, () => {
          const verdict = desk.verified(this.#owner.unixSeconds(), asked, isRight);
          if (verdict.kind === "accept") this.#accept(at, peer, verdict.identity, isRenewal);
          else this.#refuse(at, peer, shown, verdict);
        });
      });
    if (cancel === undefined) {
      const cause = ofPlace < ASKED_OF_PLACE ? BUSY : `${ofPlace} logins from ${from} are looked into already`;
      const temporary = { backoff: BUSY_BACKOFF_S, advance: "no" } as const;
      return this.#refuse(now, peer, shown, { reason: BUSY, cause, temporary });
    }
    const takeBack = (): void => {
      done();
      cancel?.();
    };
    peer.takeBack = takeBack;
    this.#asked.set(place, ofPlace + 1);
  }

  /** Whatever is being found out for a peer is of no interest any more. */
  #forget(peer: Peer): void {
    peer.takeBack?.();
  }

  /** Tells a peer its next auth-token, if that is due (OpenVPN's check_send_auth_token). */
  renewToken(now: number, peer: Peer): void {
    const { guest, session } = peer;
    const token = guest === undefined ? undefined : this.#token(now, peer, guest);
    if (token === undefined) return;
    const messages = composePush([`auth-token ${token}`]);
    if (typeof messages !== "string") for (const message of messages) session?.say(message);
  }

  #accept(now: number, peer: Peer, identity: Identity, isRenewal: boolean): void {
    const { desk, limits } = this.#options;
    const { name, user, certificateName } = identity;
    const shown = shownBy(user, certificateName);
    const unixSeconds = this.#owner.unixSeconds();
    if (isRenewal) return this.#renew(now, peer);
    if (identity.isSingle) for (const older of this.named(name)) this.#owner.replace(now, older);
    if (this.#count >= limits.maxClients) {
      const temporary = { backoff: FULL_BACKOFF_S, advance: "no" } as const;
      const cause = `max-clients ${limits.maxClients} are in`;
      return this.#refuse(now, peer, shown, { reason: FULL, cause, temporary });
    }
    const guest = desk.grant(unixSeconds, identity);
    if ("refused" in guest) return this.#refuse(now, peer, shown, { ...guest, cause: guest.refused });
    peer.guest = guest;
    this.#count++;
    const others = this.#byName.get(name);
    if (others === undefined) this.#byName.set(name, new Set([peer]));
    else others.add(peer);
    const token = this.#token(now, peer, guest);
    const options = token === undefined ? guest.options : [...guest.options, `auth-token ${token}`];
    peer.session?.decide(now, { kind: "accept", peerId: peer.id, options });
    this.#owner.admitted(now, peer);
  }

  #renew(now: number, peer: Peer): void {
    const { guest, session } = peer;
    if (guest === undefined || session === undefined) return;
    session.decide(now, { kind: "accept", peerId: peer.id, options: guest.options });
    this.renewToken(now, peer);
  }

  #token(now: number, peer: Peer, guest: Guest): string | undefined {
    const { desk } = this.#options;
    const unixSeconds = this.#owner.unixSeconds();
    const token = desk.token(unixSeconds, guest);
    peer.tokenAt = now + 1000 * desk.untilToken(unixSeconds, guest);
    return token;
  }

  #refuse(now: number, peer: Peer, shown: ShownNames, { reason, cause, temporary }: Omit<Refuse, "kind">): void {
    peer.isRefused = true;
    this.#owner.refused(now, peer, shown, cause);
    peer.session?.decide(now, { kind: "reject", reason, temporary });
  }
}

const shownBy = (user: string | undefined, certificate: string | undefined): ShownNames => ({
  user: user === "" ? undefined : user,
  certificate,
});
