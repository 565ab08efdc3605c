/**
 * PUSH_UPDATE: a server changes what it pushed while the tunnel is up. An option takes the place of all of its kind that were
 * there before the update; `-NAME` takes them away; `?` in front says that nothing is wrong where the option cannot be
 * changed so. An update may come in several messages (push-continuation), which are one. A message costs no more than its
 * length, however much was pushed before, because a server may send one after the other. Source: OpenVPN 2.7's options_util.c
 * (check_push_update_option_flags) and options.c (update_option, remove_option).
 */
import { printable } from "../config/lexer.ts";
import type { PullConfig } from "../config/types.ts";
import type { PushedOptions } from "../control/message.ts";
import { MAX_CHARACTERS, MAX_OPTIONS, TOO_MANY_OPTIONS } from "./collect.ts";
import { applyPullFilter } from "./pull-filter.ts";

/** Options that can be changed while the tunnel is up. */
export const UPDATABLE: ReadonlySet<string> = new Set(
  ["block-ipv6", "block-outside-dns", "dhcp-option", "dns", "ifconfig", "ifconfig-ipv6", "keepalive"].concat(
    ["redirect-gateway", "redirect-private", "route", "route-gateway", "route-ipv6", "route-metric", "topology"],
    ["tun-mtu"],
  ),
);

/** openvpn lets it through here and refuses it when it reads it (options.c, OPT_P_GENERAL). */
const KEEPALIVE = "a client takes ping and ping-restart instead, and those only when it connects";

export class PushUpdates {
  /** What is pushed now, by kind (kindOf). */
  readonly #options = new Map<string, string[]>();
  #count = 0;
  #characters = 0;
  /** Of the update that is under way: how much it held so far, and the kinds whose former options are gone. */
  #items = 0;
  readonly #replaced = new Set<string>();
  #isComplete = true;
  #ignored: string[] = [];

  /** @param options what was pushed so far */
  constructor(options: readonly string[]) {
    for (const option of options) this.#put(kindOf(nameOf(option)), option);
  }

  /** All parts of the last update are there. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** What is pushed now. Options of one kind are in their order. In the midst of an update it is neither the old nor the new. */
  get options(): readonly string[] {
    return [...this.#options.values()].flat();
  }

  /** What was passed over in the last part, for a person. */
  get ignored(): readonly string[] {
    return this.#ignored;
  }

  /** Takes a part in. @returns why it cannot be used; then nothing here is of use any more */
  add(message: PushedOptions, pull: PullConfig): string | undefined {
    this.#ignored = [];
    this.#items += message.options.length;
    if (this.#items > MAX_OPTIONS) return TOO_MANY_OPTIONS;
    for (const item of message.options) {
      const problem = this.#take(item, pull);
      if (problem !== undefined) return problem;
    }
    if (this.#count > MAX_OPTIONS || this.#characters > MAX_CHARACTERS) return TOO_MANY_OPTIONS;
    this.#isComplete = message.continuation !== 2;
    if (this.#isComplete) {
      this.#items = 0;
      this.#replaced.clear();
    }
    return undefined;
  }

  #take(item: string, pull: PullConfig): string | undefined {
    const [, removes = "", optional = "", option = ""] = /^(-?)(\??)(.*)$/.exec(item) ?? [];
    const name = nameOf(option);
    if (!UPDATABLE.has(name)) {
      if (optional !== "" && name !== "" && !option.startsWith("-")) return this.#pass(item, "cannot be changed so");
      return `the server updates "${printable(item.slice(0, 40))}", which cannot be changed while the tunnel is up`;
    }
    const filtered = applyPullFilter([option], pull.filters, pull.routeNoPull);
    if (!filtered.ok) return filtered.problem;
    if (filtered.options.length === 0) return undefined;
    if (name === "keepalive") return this.#pass(item, KEEPALIVE);
    if (removes !== "" && option !== name) return this.#pass(item, "only a name can be taken away");
    const kind = kindOf(name);
    if (removes !== "" || !this.#replaced.has(kind)) this.#remove(kind);
    if (removes !== "") return undefined;
    this.#replaced.add(kind);
    this.#put(kind, option);
    return undefined;
  }

  #put(kind: string, option: string): void {
    const known = this.#options.get(kind);
    if (known === undefined) this.#options.set(kind, [option]);
    else known.push(option);
    this.#count++;
    this.#characters += option.length;
  }

  #remove(kind: string): void {
    for (const option of this.#options.get(kind) ?? []) {
      this.#count--;
      this.#characters -= option.length;
    }
    this.#options.delete(kind);
  }

  #pass(item: string, why: string): undefined {
    this.#ignored.push(`${printable(item)}: ${why}`);
  }
}

export const nameOf = (option: string): string => /^\S*/.exec(option)![0];

/** Options that take the place of each other. */
export const kindOf = (name: string): string => (name === "redirect-private" ? "redirect-gateway" : name);
