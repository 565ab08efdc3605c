/**
 * What a server says when it pushes: the options that both ends need for the data channel, and the control messages that
 * carry all of them. Source: OpenVPN's push.c (prepare_push_reply, send_push_options), and push_util.c of 2.7 for updates.
 */
import { encodeUtf8 } from "../config/utf8.ts";
import type { KeyPlan } from "../data/key-plan.ts";
import { PEER_ID_NONE } from "../data/packet.ts";
import { kindOf, nameOf, UPDATABLE } from "./update.ts";

/** Bytes of one message with its NUL; OpenVPN's clients take no more (PUSH_BUNDLE_SIZE, and 84 bytes less for what is around it). */
export const PUSH_BUNDLE = 1024 - 84;
/** Behind the options of a message: more follow, or this is the last of several. */
const CONTINUED = ",push-continuation 2";
const LAST = ",push-continuation 1";

/** What the client must know of the data channel. @param hasFlags the client reads protocol-flags (IV_PROTO) */
export function composePlan(plan: KeyPlan, hasFlags: boolean): string[] {
  const { cipher, derivation, peerId, dynamicTlsCrypt, epoch } = plan;
  const ekm = derivation === "ekm";
  const words = [
    "protocol-flags cc-exit",
    ...(ekm ? ["tls-ekm"] : []),
    ...(dynamicTlsCrypt ? ["dyn-tls-crypt"] : []),
    ...(epoch ? ["aead-epoch"] : []),
  ];
  const flags = hasFlags ? [words.join(" ")] : ekm ? ["key-derivation tls-ekm"] : [];
  return [...(peerId === PEER_ID_NONE ? [] : [`peer-id ${peerId}`]), `cipher ${cipher}`, ...flags];
}

/**
 * The messages that push these options, in order; one where they fit. An option that is too long for a message of its own
 * cannot be pushed: it makes the result a problem.
 */
export function composePush(
  options: readonly string[],
  name: "PUSH_REPLY" | "PUSH_UPDATE" = "PUSH_REPLY",
): readonly string[] | string {
  const room = PUSH_BUNDLE - 1 - name.length - CONTINUED.length;
  const bundles: string[][] = [[]];
  let used = 0;
  for (const option of options) {
    const length = encodeUtf8(option).length + 1;
    if (length > room) return `the option is longer than a message may be: ${option.slice(0, 60)}...`;
    if (used + length > room) {
      bundles.push([]);
      used = 0;
    }
    bundles.at(-1)!.push(option);
    used += length;
  }
  return bundles.map((bundle, i) => {
    const tail = bundles.length === 1 ? "" : i === bundles.length - 1 ? LAST : CONTINUED;
    return [name, ...bundle].join(",") + tail;
  });
}

export interface PushChange {
  /** Of a PUSH_UPDATE, in order: all that is pushed of each kind of which something changes, and what is taken away. */
  readonly items: readonly string[];
  /** Names of what changes and cannot be changed while the tunnel is up. */
  readonly later: readonly string[];
}

/** What makes of options that were pushed those that are pushed now (update.ts reads it). */
export function composeChange(before: readonly string[], after: readonly string[]): PushChange {
  const [old, next] = [byKind(before), byKind(after)];
  const items: string[] = [];
  const later: string[] = [];
  for (const kind of new Set([...old.keys(), ...next.keys()])) {
    const [was, is] = [old.get(kind) ?? [], next.get(kind) ?? []];
    if (was.join("\n") === is.join("\n")) continue;
    if (!UPDATABLE.has(kind)) later.push(kind);
    else if (is.length > 0) items.push(...is);
    else items.push(`-${nameOf(was[0]!)}`);
  }
  return { items, later };
}

function byKind(options: readonly string[]): Map<string, string[]> {
  const kinds = new Map<string, string[]>();
  for (const option of options) {
    const kind = kindOf(nameOf(option));
    const known = kinds.get(kind);
    if (known === undefined) kinds.set(kind, [option]);
    else known.push(option);
  }
  return kinds;
}
