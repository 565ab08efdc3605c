/**
 * PUSH_UPDATE: a server changes what it pushed while the tunnel is up. An option takes the place of all of its kind that were
 * there before the update; `-NAME` takes them away; `?` in front says that nothing is wrong where the option cannot be
 * changed so. An update may come in several messages (push-continuation), which are one. Source: OpenVPN 2.7's options_util.c
 * (check_push_update_option_flags) and options.c (update_option, remove_option).
 */
import { printable } from "../config/lexer.ts";
import type { PullConfig } from "../config/types.ts";
import type { PushedOptions } from "../control/message.ts";
import { areTooMany, TOO_MANY_OPTIONS } from "./collect.ts";
import { applyPullFilter } from "./pull-filter.ts";

const UPDATABLE: ReadonlySet<string> = new Set(
  ["block-ipv6", "block-outside-dns", "dhcp-option", "dns", "ifconfig", "ifconfig-ipv6", "keepalive"].concat(
    ["redirect-gateway", "redirect-private", "route", "route-gateway", "route-ipv6", "route-metric", "topology"],
    ["tun-mtu"],
  ),
);

export class PushUpdate {
  /** What is pushed once all parts are there. */
  options: readonly string[];
  /** What was passed over, for a person. */
  readonly ignored: string[] = [];
  /** Kinds whose former options are gone. */
  readonly #replaced = new Set<string>();

  /** @param options what was pushed so far */
  constructor(options: readonly string[]) {
    this.options = options;
  }

  /** Adds a part. @returns true when the update is complete, a problem when it cannot be used */
  add(message: PushedOptions, pull: PullConfig): boolean | string {
    for (const item of message.options) {
      const problem = this.#take(item, pull);
      if (problem !== undefined) return problem;
    }
    return areTooMany(this.options) ? TOO_MANY_OPTIONS : message.continuation !== 2;
  }

  #take(item: string, pull: PullConfig): string | undefined {
    const [, removes = "", optional = "", option = ""] = /^(-?)(\??)(.*)$/.exec(item) ?? [];
    const name = /^\S*/.exec(option)![0];
    if (!UPDATABLE.has(name)) {
      if (optional !== "" && name !== "" && !option.startsWith("-")) return this.#pass(item, "cannot be changed so");
      return `the server updates "${printable(item.slice(0, 40))}", which cannot be changed while the tunnel is up`;
    }
    const filtered = applyPullFilter([option], pull.filters, pull.routeNoPull);
    if (!filtered.ok) return filtered.problem;
    if (filtered.options.length === 0) return undefined;
    if (removes !== "" && option !== name) return this.#pass(item, "only a name can be taken away");
    const kind = kindOf(name);
    if (removes !== "" || !this.#replaced.has(kind))
      this.options = this.options.filter((other) => kindOf(/^\S*/.exec(other)![0]) !== kind);
    if (removes !== "") return undefined;
    this.#replaced.add(kind);
    this.options = [...this.options, option];
    return undefined;
  }

  #pass(item: string, why: string): undefined {
    this.ignored.push(`${printable(item)}: ${why}`);
  }
}

/** Options that take the place of each other. */
const kindOf = (name: string): string => (name === "redirect-private" ? "redirect-gateway" : name);
