/**
 * The resolver of this host, told of the tunnel's: by systemd-resolved where it runs (resolvectl(1)), else by resolvconf(8), else by
 * /etc/resolv.conf itself. Programs run beside the loop, one after the other; what is to be taken back is written down before.
 */
import { existsSync, readFileSync, realpathSync } from "node:fs";
import { basename } from "node:path";
import { formatEndpoint } from "../lib/endpoint.ts";
import { type IpAddress, parseIp } from "../lib/ip.ts";
import type { Log } from "../lib/log.ts";
import { interfaceIndex } from "../platform/sys/syscalls.ts";
import type { TunnelDns, TunnelDnsServer } from "../protocol/push/dns-options.ts";
import type { Change, DeviceRef } from "./change.ts";
import type { Changes, Held } from "./changes.ts";
import { digestOf, replaceFile, restoreFile, stateOf } from "./file-change.ts";
import { formerOf, ownResolvConf, writerOf } from "./resolv-conf.ts";

const RESOLV_CONF = "/etc/resolv.conf";
const RESOLVED = "/run/systemd/resolve/io.systemd.Resolve";
/** Whom systemd-resolved asks. */
const RESOLVED_UPLINK = "/run/systemd/resolve/resolv.conf";
/** resolv.conf(5): MAXNS. */
const MAX_NAMESERVERS = 3;
const DNS_PORT = 53;
const PATIENCE_MS = 5000;

export interface HostDnsOptions {
  readonly device: DeviceRef;
  readonly changes: Changes;
  readonly log: Log;
  /** undefined: this one. */
  readonly host?: NameHost | undefined;
}

/** Whom a host's programs ask for names, and how it is told. */
export interface NameHost {
  manager(): Manager;
  /** Runs a program. @returns what it says of its failure; undefined: it has not failed */
  run(argv: readonly string[], input: string): Promise<string | undefined>;
}

type Manager = "resolved" | "resolvconf" | "file";

/** What this host can be told of a tunnel's resolvers: one set of addresses, for all names or for some. */
interface Wanted {
  readonly server: TunnelDnsServer;
  readonly search: readonly string[];
}

export class HostDns {
  readonly #options: HostDnsOptions;
  readonly #host: NameHost;
  /** One after the other. */
  #queue: Promise<void> = Promise.resolve();
  #held: Held | undefined;
  /** What was set last, whole; empty: what was tried last went wrong, and is tried again. */
  #said = "";

  constructor(options: HostDnsOptions) {
    this.#options = options;
    this.#host = options.host ?? THIS_HOST;
  }

  /** A tunnel that is not there any more, and of which no journal tells, has left its resolvers: the host's own come back. Never fails. */
  recover(): void {
    try {
      this.#recover();
    } catch (error) {
      this.#warn((error as Error).message);
    }
  }

  /** Sets the resolver as the tunnel has it, in the place of the one before. Done when the result is; never fails. */
  set(dns: TunnelDns): Promise<void> {
    const text = JSON.stringify(dns);
    return this.#then(async () => {
      if (text === this.#said && this.#held !== undefined) return;
      this.#said = "";
      this.#undo();
      const wanted = this.#choose(dns);
      if (wanted !== undefined && (await this.#set(wanted))) this.#said = text;
    });
  }

  /** Takes it back. */
  clear(): Promise<void> {
    return this.#then(async () => this.#undo());
  }

  #recover(): void {
    const { device, log } = this.#options;
    const found = stateOf(RESOLV_CONF);
    const text = found.kind === "plain" ? found.text : "";
    const [writer, before] = [writerOf(text), formerOf(text)];
    if (writer === undefined || before === undefined) return;
    if (writer !== device.name && interfaceIndex(writer) !== 0) return;
    const problem = restoreFile({ kind: "file", path: RESOLV_CONF, before, digest: digestOf(text) });
    if (problem !== undefined) return this.#warn(problem);
    const what = `the resolvers of a tunnel on ${writer} that ended in a crash are taken back (${RESOLV_CONF})`;
    log.write("warn", "host.recovered", what);
  }

  #then(act: () => Promise<void>): Promise<void> {
    this.#queue = this.#queue.then(act).catch((error: unknown) => {
      this.#warn((error as Error).message);
    });
    return this.#queue;
  }

  #undo(): void {
    if (this.#held !== undefined) this.#options.changes.undo(this.#held);
    this.#held = undefined;
  }

  #choose({ servers, searchDomains }: TunnelDns): Wanted | undefined {
    const usable = servers.filter(({ transport }) => transport !== "DoH");
    const [server] = usable;
    if (server === undefined) return undefined;
    if (usable.length > 1)
      this.#options.log.write("info", "dns.first", "the tunnel has several sets of resolvers; the first one is taken");
    return { server, search: searchDomains };
  }

  /** @returns whether it is as the tunnel has it now */
  async #set(wanted: Wanted): Promise<boolean> {
    const manager = this.#host.manager();
    const fields = {
      by: manager,
      servers: wanted.server.addresses.map(formatDns).join(" "),
      domains: wanted.server.domains.join(" ") || undefined,
    };
    const done = await this.#by(manager, wanted);
    if (done) this.#options.log.write("info", "dns.set", "", fields);
    return done;
  }

  #by(manager: Manager, wanted: Wanted): Promise<boolean> {
    switch (manager) {
      case "resolved":
        return this.#byResolved(wanted);
      case "resolvconf":
        return this.#byResolvconf(wanted);
      case "file":
        return Promise.resolve(this.#byFile(wanted));
    }
  }

  async #byResolved({ server, search }: Wanted): Promise<boolean> {
    const { device } = this.#options;
    const { name } = device;
    const isForAll = server.domains.length === 0;
    // "~." takes all names; "~NAME" those below it, and adds nothing to what is typed (resolvectl(1), domain).
    const domains = [...search, ...(isForAll ? ["~."] : server.domains.map((domain) => `~${domain}`))];
    const sni = server.serverName === undefined ? "" : `#${server.serverName}`;
    const commands = [
      ["dns", name, ...server.addresses.map((address) => `${formatDns(address)}${sni}`)],
      ["domain", name, ...domains],
      ["default-route", name, isForAll ? "yes" : "no"],
      ...(server.transport === "DoT" ? [["dnsovertls", name, "yes"]] : []),
      ["flush-caches"],
    ];
    this.#begin({ kind: "command", undo: ["resolvectl", "revert", name], device });
    for (const command of commands) if (!(await this.#run(["resolvectl", ...command]))) return false;
    return true;
  }

  async #byResolvconf({ server, search }: Wanted): Promise<boolean> {
    if (!this.#isPlain(server, "resolvconf")) return false;
    const name = `${this.#options.device.name}.morgana`;
    const isOpenresolv = await this.#says(["resolvconf", "--version"], /openresolv/);
    const isForAll = server.domains.length === 0;
    if (!isForAll && !isOpenresolv) return this.#cannotSplit(server, "resolvconf");
    const flags = isOpenresolv ? ["-m", "0", isForAll ? "-x" : "-p"] : [];
    const domains = isForAll ? search : server.domains;
    const lines = server.addresses.map(({ address }) => `nameserver ${address}`);
    if (domains.length > 0) lines.push(`search ${domains.join(" ")}`);
    this.#begin({ kind: "command", undo: ["resolvconf", "-d", name], device: undefined });
    if (!(await this.#run(["resolvconf", ...flags, "-a", name], `${lines.join("\n")}\n`))) return false;
    const own = server.addresses.map(({ address }) => address);
    const remark = remarkOnResolvconf(nameserversOf(RESOLV_CONF), own, server.domains);
    if (remark !== undefined) this.#options.log.write("warn", "dns.remark", remark);
    return true;
  }

  #byFile({ server, search }: Wanted): boolean {
    if (!this.#isPlain(server, RESOLV_CONF)) return false;
    if (server.domains.length > 0) return this.#cannotSplit(server, RESOLV_CONF);
    const found = stateOf(RESOLV_CONF);
    const { name } = this.#options.device;
    const text = found.kind === "plain" ? found.text : "";
    const other = writerOf(text);
    // What is written over its text would come back when it has ended itself.
    if (other !== undefined && other !== name && interfaceIndex(other) !== 0) return this.#isTaken(other);
    const before = formerOf(text) ?? found;
    const lines = [
      ...server.addresses.slice(0, MAX_NAMESERVERS).map(({ address }) => `nameserver ${address}`),
      ...(search.length > 0 ? [`search ${search.join(" ")}`] : []),
      ...text.split("\n").filter((line) => /^options\s/.test(line)),
    ];
    const own = ownResolvConf(name, lines, before);
    this.#begin({ kind: "file", path: RESOLV_CONF, before, digest: digestOf(own) });
    try {
      replaceFile(RESOLV_CONF, own);
      return true;
    } catch (error) {
      this.#forget();
      this.#warn(`${RESOLV_CONF} cannot be written: ${(error as Error).message}`);
      return false;
    }
  }

  /** A list of addresses is all that it can be told. */
  #isPlain({ addresses, transport }: TunnelDnsServer, by: string): boolean {
    if (transport === "plain" && addresses.every(({ port }) => port === DNS_PORT)) return true;
    this.#warn(`the tunnel's resolver has a port or TLS of its own, which ${by} cannot say; systemd-resolved can`);
    return false;
  }

  #cannotSplit({ domains }: TunnelDnsServer, by: string): false {
    const names = domains.join(", ");
    this.#warn(`the tunnel's resolver is for names below ${names} alone, which ${by} cannot say; systemd-resolved can`);
    return false;
  }

  #isTaken(device: string): false {
    this.#warn(
      `${RESOLV_CONF} has the resolvers of the tunnel on ${device}, by another morgana, and is left as it is; ` +
        "systemd-resolved and resolvconf take those of several tunnels",
    );
    return false;
  }

  #begin(change: Change): void {
    this.#held = this.#options.changes.begin(change);
  }

  #forget(): void {
    if (this.#held !== undefined) this.#options.changes.forget(this.#held);
    this.#held = undefined;
  }

  #warn(text: string): void {
    this.#options.log.write("warn", "dns.failed", text);
  }

  async #run(argv: readonly string[], input = ""): Promise<boolean> {
    const failure = await this.#host.run(argv, input);
    if (failure !== undefined) this.#warn(`${argv.join(" ")}: ${failure}`);
    return failure === undefined;
  }

  async #says(argv: readonly string[], pattern: RegExp): Promise<boolean> {
    const child = Bun.spawn([...argv], { stdin: "ignore", stdout: "pipe", stderr: "pipe", timeout: PATIENCE_MS });
    const texts = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
    return texts.some((text) => pattern.test(text));
  }
}

const THIS_HOST: NameHost = {
  manager: () => managerOf(),
  async run(argv, input) {
    const child = Bun.spawn([...argv], {
      stdin: new TextEncoder().encode(input),
      stdout: "ignore",
      stderr: "pipe",
      timeout: PATIENCE_MS,
    });
    const [text, status] = await Promise.all([new Response(child.stderr).text(), child.exited]);
    return status === 0 ? undefined : text.trim() || `status ${status}`;
  },
};

/** The resolvers that a resolv.conf names. */
export function nameservers(text: string): IpAddress[] {
  const found = text.split("\n").map((line) => /^\s*nameserver\s+([^\s%]+)/.exec(line)?.[1]);
  const addresses = found.map((word) => parseIp(word ?? ""));
  return addresses.filter((address) => address !== undefined).filter(({ isHost }) => isHost);
}

/**
 * What resolvconf has not made of the tunnel's resolvers, in words.
 * @param found those that programs of this host ask by now @param domains names that the tunnel's are for; none: all
 */
export function remarkOnResolvconf(
  found: readonly IpAddress[],
  own: readonly IpAddress[],
  domains: readonly string[],
): string | undefined {
  // One of this host itself is told by resolvconf whom to ask.
  if (found.some(({ isLoopback }) => isLoopback)) return undefined;
  const others = found.filter((address) => !own.some((each) => each.equals(address)));
  const asked = found.join(" and ") || "nobody";
  if (domains.length > 0)
    return (
      `${RESOLV_CONF} names ${asked} for every name: names below ${domains.join(", ")} are asked for in the tunnel only where resolvconf has ` +
      "a resolver of this host (dnsmasq, unbound) to tell; systemd-resolved is one"
    );
  if (others.length === found.length)
    return `${RESOLV_CONF} names ${asked}, and not the tunnel's resolvers: it is not resolvconf's to write`;
  if (others.length === 0) return undefined;
  return (
    `${RESOLV_CONF} names ${others.join(" and ")} as well, to be asked when the tunnel's resolvers are silent, which resolvconf cannot keep from it; ` +
    "openresolv and systemd-resolved can"
  );
}

/** Those of this host, as it is now. */
export const hostResolvers = (): IpAddress[] =>
  nameserversOf(existsSync(RESOLVED_UPLINK) ? RESOLVED_UPLINK : RESOLV_CONF);

function nameserversOf(path: string): IpAddress[] {
  try {
    return nameservers(readFileSync(path, "utf8"));
  } catch {
    // Without one it asks nobody.
    return [];
  }
}

function managerOf(): Manager {
  if (existsSync(RESOLVED) && Bun.which("resolvectl") !== null) return "resolved";
  const resolvconf = Bun.which("resolvconf");
  // It may be another name of resolvectl, which says nothing to anybody where systemd-resolved does not run.
  return resolvconf === null || basename(realpathSync(resolvconf)) === "resolvectl" ? "file" : "resolvconf";
}

const formatDns = (endpoint: TunnelDnsServer["addresses"][number]): string =>
  endpoint.port === DNS_PORT ? `${endpoint.address}` : formatEndpoint(endpoint);
