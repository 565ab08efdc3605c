/**
 * The text messages of the control channel (what TLS carries once keys are exchanged): PUSH_REPLY, PUSH_UPDATE, AUTH_FAILED,
 * RESTART and their kin. Each ends with a NUL; several may share a TLS record and one may span records.
 * A name is compared with the beginning of the text, in OpenVPN's order, because servers differ in what they put behind it.
 */
import { decodeBase64 } from "../config/material.ts";
import { decodeUtf8 } from "../config/utf8.ts";

export interface TemporaryFailure {
  /** Seconds to wait, undefined when the server names none. */
  readonly backoff: number | undefined;
  /** Where to try next: the same address, the next remote, the next address of this remote. */
  readonly advance: "no" | "remote" | "addr" | undefined;
}

/** AUTH_FAILED,CRV1: a question that the next login answers. */
export interface Challenge {
  /** Whether there is anything to answer; else the text is only to be read. */
  readonly needsAnswer: boolean;
  /** The server's own word for the login that goes on. */
  readonly state: string;
  /** Who logs in then. */
  readonly user: string | undefined;
  readonly text: string;
}

export interface PushedOptions {
  /** In order, without push-continuation. */
  readonly options: readonly string[];
  /** 0 = all is in this message, 2 = more follow, 1 = the last of several. */
  readonly continuation: 0 | 1 | 2;
}

export type ControlMessage =
  | ({ readonly kind: "push-reply" } & PushedOptions)
  /** Changes to what was pushed, while the tunnel is up (update.ts). */
  | ({ readonly kind: "push-update" } & PushedOptions)
  | {
      readonly kind: "auth-failed";
      readonly reason: string;
      readonly temporary: TemporaryFailure | undefined;
      readonly challenge: Challenge | undefined;
    }
  /** A client asks for its options. */
  | { readonly kind: "push-request" }
  | { readonly kind: "auth-pending"; readonly seconds: number | undefined }
  | { readonly kind: "info"; readonly text: string }
  | { readonly kind: "info-pre"; readonly text: string }
  /** The login goes on at a web page (INFO_PRE with WEB_AUTH or OPEN_URL). */
  | { readonly kind: "open-url"; readonly url: string }
  /** A question that CR_RESPONSE answers (INFO_PRE with CR_TEXT). */
  | { readonly kind: "challenge-text"; readonly text: string; readonly needsAnswer: boolean }
  | { readonly kind: "restart"; readonly message: string; readonly nextRemote: boolean }
  | { readonly kind: "halt"; readonly message: string; readonly nextRemote: boolean }
  | { readonly kind: "exit" }
  /** Not understood (CR_RESPONSE too, which is a client's). */
  | { readonly kind: "unknown"; readonly text: string }
  /** Not a message at all: too long, or with control characters in it. Dropped, to be counted by the name. */
  | { readonly kind: "malformed"; readonly problem: "too-long" | "control-characters" };

/** OpenVPN's own peers send at most 2,048; others have been seen with more options in one message. */
export const MAX_CONTROL_MESSAGE = 16_384;

/** A longer text is cut before a person sees it. OpenVPN's own server puts no more into a message (PUSH_BUNDLE_SIZE). */
const MAX_TOLD = 1024;
const told = (text: string): string => (text.length > MAX_TOLD ? `${text.slice(0, MAX_TOLD)}...` : text);

/** Splits the TLS plaintext of one key's session into messages. Holds at most MAX_CONTROL_MESSAGE bytes. */
export class ControlMessages {
  #held = new Uint8Array(256);
  #length = 0;
  /** The rest of an overlong message is being skipped. */
  #skipping = false;

  /** @returns the messages that these bytes complete. Empty messages are passed over. Never throws. */
  feed(bytes: Uint8Array): ControlMessage[] {
    const messages: ControlMessage[] = [];
    let start = 0;
    while (start < bytes.length) {
      const nul = bytes.indexOf(0, start);
      const end = nul < 0 ? bytes.length : nul;
      if (!this.#skipping && !this.#hold(bytes, start, end)) {
        this.#skipping = true;
        messages.push({ kind: "malformed", problem: "too-long" });
      }
      if (nul < 0) break;
      if (!this.#skipping) {
        const message = parseBytes(this.#held.subarray(0, this.#length));
        if (message !== undefined) messages.push(message);
      }
      this.#skipping = false;
      // auth-token and challenge texts pass through here.
      this.#held.fill(0, 0, this.#length);
      this.#length = 0;
      start = nul + 1;
    }
    return messages;
  }

  #hold(bytes: Uint8Array, start: number, end: number): boolean {
    const length = this.#length + (end - start);
    if (length > MAX_CONTROL_MESSAGE) return false;
    if (length > this.#held.length) {
      const larger = new Uint8Array(Math.min(MAX_CONTROL_MESSAGE, Math.max(length, this.#held.length * 2)));
      larger.set(this.#held.subarray(0, this.#length));
      this.#held.fill(0);
      this.#held = larger;
    }
    for (let i = start; i < end; i++) this.#held[this.#length++] = bytes[i]!;
    return true;
  }
}

function parseBytes(bytes: Uint8Array): ControlMessage | undefined {
  let end = bytes.length;
  while (end > 0 && (bytes[end - 1] === 0x0a || bytes[end - 1] === 0x0d)) end--;
  if (end === 0) return undefined;
  // CVE-2024-5594: what stands between NULs must not reach logs with control characters in it.
  for (let i = 0; i < end; i++) {
    const byte = bytes[i]!;
    if (byte < 0x20 || byte === 0x7f) return { kind: "malformed", problem: "control-characters" };
  }
  return parseControlMessage(decodeUtf8(bytes.subarray(0, end)));
}

/** Gives one message its meaning; anything is accepted, what is not known becomes "unknown". */
export function parseControlMessage(text: string): ControlMessage {
  if (text.startsWith("AUTH_FAILED")) return parseAuthFailed(after(text, "AUTH_FAILED"));
  if (/^PUSH_REPLY(,|$)/.test(text)) return { kind: "push-reply", ...parsePushed(after(text, "PUSH_REPLY")) };
  if (/^PUSH_UPDATE(,|$)/.test(text)) return { kind: "push-update", ...parsePushed(after(text, "PUSH_UPDATE")) };
  if (text === "PUSH_REQUEST") return { kind: "push-request" };
  if (text.startsWith("RESTART")) {
    return { kind: "restart", ...parseSignal(after(text, "RESTART")) };
  }
  if (text.startsWith("HALT")) return { kind: "halt", ...parseSignal(after(text, "HALT")) };
  if (text.startsWith("INFO_PRE")) return parseInfoPre(after(text, "INFO_PRE"));
  if (text.startsWith("INFO")) return { kind: "info", text: told(after(text, "INFO")) };
  if (text.startsWith("AUTH_PENDING")) {
    const seconds = /(?:^|,)timeout (\d{1,9})(?:,|$)/.exec(after(text, "AUTH_PENDING"))?.[1];
    return { kind: "auth-pending", seconds: seconds === undefined ? undefined : Number(seconds) };
  }
  if (text.startsWith("EXIT")) return { kind: "exit" };
  return { kind: "unknown", text };
}

/** What follows "NAME,"; empty when something else follows the name. */
const after = (text: string, name: string): string => (text[name.length] === "," ? text.slice(name.length + 1) : "");

/** Letters of a leading "[PN]": N = go on to the next remote; P = the password may be kept, which is kept anyway where nobody types it. */
function parseSignal(text: string): { readonly message: string; readonly nextRemote: boolean } {
  const [flags = ""] = /^\[[^\]]*\]?/.exec(text) ?? [];
  return { message: told(text.slice(flags.length)), nextRemote: flags.includes("N") };
}

/** As OpenVPN's management-notes.txt describes them: OPEN_URL:url, WEB_AUTH:flags:url, CR_TEXT:flags:text. */
function parseInfoPre(text: string): ControlMessage {
  const url = /^(?:OPEN_URL:|WEB_AUTH:[^:]*:)(.+)$/.exec(text)?.[1];
  if (url !== undefined) return { kind: "open-url", url: told(url) };
  const [, flags, question] = /^CR_TEXT:([^:]*):(.*)$/.exec(text) ?? [];
  if (question === undefined) return { kind: "info-pre", text: told(text) };
  return { kind: "challenge-text", text: told(question), needsAnswer: flagsOf(flags).includes("R") };
}

const flagsOf = (flags = ""): string[] => flags.split(",");

function parsePushed(list: string): PushedOptions {
  let continuation: 0 | 1 | 2 = 0;
  const options: string[] = [];
  for (const option of splitOptions(list)) {
    const more = /^push-continuation\s+([012])$/.exec(option)?.[1];
    if (more !== undefined) continuation = Number(more) as 0 | 1 | 2;
    else if (!option.startsWith("push-continuation")) options.push(option);
  }
  return { options, continuation };
}

/** Splits at commas; a backslash keeps the comma behind it (and stays, for the word splitter). Empty ones are left out. */
export function splitOptions(list: string): string[] {
  const options: string[] = [];
  let option = "";
  for (let i = 0; i < list.length; i++) {
    const c = list[i]!;
    if (c === ",") {
      options.push(option.trim());
      option = "";
    } else if (c === "\\" && i + 1 < list.length) {
      option += c + list[++i]!;
    } else option += c;
  }
  options.push(option.trim());
  return options.filter((o) => o !== "");
}

/** undefined: it is none, or no text. */
export function decodeBase64Text(text: string): string | undefined {
  const bytes = decodeBase64(text);
  return bytes === undefined || bytes.length === 0 || bytes.includes(0) ? undefined : decodeUtf8(bytes);
}

function parseAuthFailed(rest: string): ControlMessage {
  const plain = { kind: "auth-failed", temporary: undefined, challenge: undefined } as const;
  if (rest.startsWith("TEMP")) {
    const { message, backoff, advance } = parseTemporary(rest.slice(4));
    return { ...plain, reason: told(message), temporary: { backoff, advance } };
  }
  if (rest.startsWith("SESSION")) {
    return { ...plain, reason: told(rest.slice(7).replace(/^[:,]?\s*/, "")) };
  }
  if (rest.startsWith("CRV1:")) {
    // CRV1:flags:state:base64(user):text; the text is what a person would be asked.
    const [, flags, state = "", user = "", ...words] = rest.split(":");
    const text = told(words.join(":"));
    const challenge = { needsAnswer: flagsOf(flags).includes("R"), state, user: decodeBase64Text(user), text };
    return { ...plain, reason: text, challenge };
  }
  return { ...plain, reason: told(rest) };
}

/** The part after TEMP: "[backoff 42,advance no]:message"; the flags only count in leading brackets. */
export function parseTemporary(rest: string): TemporaryFailure & { readonly message: string } {
  const match = /^\[([^\]]*)\]/.exec(rest);
  const message = rest.slice(match?.[0].length ?? 0);
  let backoff: number | undefined;
  let advance: TemporaryFailure["advance"];
  for (const flag of match?.[1]?.split(",") ?? []) {
    const seconds = /^\s*backoff (\d{1,9})\s*$/.exec(flag)?.[1];
    if (seconds !== undefined) backoff = Number(seconds);
    const where = /^\s*advance (no|remote|addr)\s*$/.exec(flag)?.[1];
    if (where !== undefined) advance = where as TemporaryFailure["advance"];
  }
  return { message: message.startsWith(":") ? message.slice(1) : "", backoff, advance };
}
