/**
 * The client's side of the tunnel: one session after the other, as the retry policy decides, for as long as the WAN has
 * an address.
 *
 *   waiting-for-wan -> (backing-off) -> resolving -> connecting -> up -> backing-off ...;  leaving -> stopped
 *
 * It opens the router's tunnel when a session is up and closes it when the session ends, and puts into words why.
 */
import { BoundedLog } from "../lib/bounded-log.ts";
import type { Cidr } from "../lib/cidr.ts";
import { formatEndpoint } from "../lib/endpoint.ts";
import { type IpAddress, parseIpv4 } from "../lib/ip.ts";
import type { Log } from "../lib/log.ts";
import type { Random } from "../lib/random.ts";
import type { UdpSocket } from "../netstack/socket/udp-socket.ts";
import type { NativeMemory } from "../platform/sys/memory.ts";
import type { ClientConfig, Remote } from "../protocol/config/types.ts";
import { tunnelMss } from "../protocol/data/mtu.ts";
import { tlsParameters } from "../protocol/exchange/tls-parameters.ts";
import type { AeadFactory, ControlPrimitives, TlsContext, TlsContextFactory } from "../protocol/ports.ts";
import type { AuthToken } from "../protocol/push/collect.ts";
import { parseTunnelOptions } from "../protocol/push/tunnel-options.ts";
import { ClientSession } from "../protocol/session/client.ts";
import type { SessionEnd, SessionEvent } from "../protocol/session/events.ts";
import { explainEnd, explainSilence, explainStall } from "../protocol/session/explain.ts";
import { type Outcome, RetryPolicy } from "../protocol/session/retry.ts";
import { RemoteResolver } from "./remote-resolver.ts";
import type { RouterPath } from "./wiring/router.ts";

/** IPv4 and UDP in front of every datagram. */
const LINK_OVERHEAD = 28;
const NEVER = Number.POSITIVE_INFINITY;

export interface TunnelClientOptions {
  readonly config: ClientConfig;
  readonly path: RouterPath;
  readonly memory: NativeMemory;
  /** Over `memory`. It outlives the client: a reload makes another one. */
  readonly aead: AeadFactory;
  readonly control: ControlPrimitives;
  readonly tls: TlsContextFactory;
  readonly lan: Cidr;
  readonly log: Log;
  readonly random: Random;
  readonly unixSeconds: () => number;
}

type State =
  | { readonly kind: "waiting-for-wan" }
  | { readonly kind: "backing-off"; readonly until: number }
  | { readonly kind: "resolving"; readonly remote: Remote; readonly address: number }
  | { readonly kind: "connecting" | "up" | "leaving"; readonly attempt: Attempt }
  | { readonly kind: "stopped" };

interface Attempt {
  readonly remote: Remote;
  readonly address: IpAddress;
  readonly socket: UdpSocket;
  readonly session: ClientSession;
}

export class TunnelClient {
  readonly #options: TunnelClientOptions;
  readonly #log: Log;
  readonly #retry: RetryPolicy;
  /** For what resolvers can cause at will. */
  readonly #heard: BoundedLog;
  readonly #resolver: RemoteResolver;
  /** The addresses of the remote whose turn it is: walked through in their order, then its name is asked for anew. */
  #found: { readonly remote: Remote; readonly addresses: readonly IpAddress[] } | undefined;
  #state: State = { kind: "waiting-for-wan" };
  /** Of all sessions; made for the first one, closed when this client has stopped. */
  #tls: TlsContext | undefined;
  /** Of the last session: the next one logs in with it, as openvpn does, for the sake of one-time passwords. */
  #authToken: AuthToken | undefined;
  /** Until then a refusal of the login is heeded, whatever the WAN does. */
  #loginAt = Number.NEGATIVE_INFINITY;

  constructor(options: TunnelClientOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#retry = new RetryPolicy(options.config.remotes, options.config.retry, options.random);
    this.#heard = new BoundedLog(options.log, 1, 3);
    this.#resolver = new RemoteResolver({
      wan: options.path.wan,
      slab: options.memory,
      random: options.random,
      refuse: (address) => this.#refusal(address),
    });
  }

  /** The goodbye is said, or there was nobody to say it to. */
  get left(): boolean {
    return this.#state.kind === "stopped";
  }

  /** The WAN has an address: connect, or connect anew where the old address was another. */
  wanUp(now: number, dns: readonly IpAddress[]): void {
    this.setResolvers(dns);
    if (this.#state.kind === "leaving" || this.#state.kind === "stopped") return;
    this.#abandon(now, "the WAN address changed");
    this.#found = undefined;
    this.#retry.reset();
    if (now < this.#loginAt) this.#state = { kind: "backing-off", until: this.#loginAt };
    else this.#next(now);
  }

  setResolvers(dns: readonly IpAddress[]): void {
    this.#resolver.setServers(dns);
  }

  wanDown(now: number, reason: string): void {
    if (this.#state.kind === "leaving" || this.#state.kind === "stopped") return;
    this.#abandon(now, reason);
    this.#state = { kind: "waiting-for-wan" };
  }

  /** Says goodbye to the server; `left` is true when that is done. */
  leave(now: number): void {
    const state = this.#state;
    if (state.kind === "up") {
      this.#state = { kind: "leaving", attempt: state.attempt };
      state.attempt.session.close(now);
      this.#drive(now, state.attempt);
    } else if (state.kind !== "leaving") {
      this.stop(now, "shutdown");
    }
  }

  /** Ends at once, without waiting for anything. */
  stop(now: number, reason: string): void {
    const state = this.#state;
    if (state.kind === "up") {
      state.attempt.session.close(now);
      this.#transmit(now, state.attempt);
    }
    this.#abandon(now, reason);
    this.#setStopped();
  }

  pollAt(): number {
    const state = this.#state;
    const own =
      state.kind === "backing-off" ? state.until : "attempt" in state ? state.attempt.session.pollAt() : NEVER;
    return Math.min(own, this.#resolver.pollAt());
  }

  /** Timers, events and what they want sent. */
  poll(now: number): void {
    this.#resolver.poll(now);
    const state = this.#state;
    if (state.kind === "backing-off" && now >= state.until) this.#next(now);
    else if ("attempt" in state) this.#drive(now, state.attempt);
  }

  counters(): Record<string, number> | undefined {
    const state = this.#state;
    if (!("attempt" in state)) return undefined;
    const { session } = state.attempt;
    const fields: Record<string, number> = { ...session.counters.snapshot(), ...session.traffic() };
    for (const [name, count] of Object.entries(session.drops.snapshot())) fields[`drop.${name}`] = count;
    return fields;
  }

  /** The next attempt, now: which remote is due is the policy's word. */
  #next(now: number): void {
    const { remote, address: index } = this.#retry.target();
    const literal = parseIpv4(remote.host);
    if (literal !== undefined) return this.#connectTo(now, remote, literal);
    const known = this.#found?.remote === remote && index > 0 ? this.#found.addresses[index] : undefined;
    if (known !== undefined) return this.#connect(now, remote, known);
    this.#state = { kind: "resolving", remote, address: index };
    const host = this.#name(remote);
    this.#log.write("info", "link.resolving", "", { host });
    this.#resolver.resolve(now, host, (at, result) => {
      if (this.#state.kind !== "resolving" || this.#state.remote !== remote) return;
      if (!result.ok) {
        this.#heard.write(at, "warn", "link.unresolved", result.text, { host });
        return this.#backOff(at, { kind: "resolve-failed" });
      }
      if (result.note !== undefined) this.#heard.write(at, "warn", "link.resolved", result.note, { host });
      const { addresses } = result;
      this.#found = { remote, addresses };
      this.#retry.resolved(addresses.length);
      this.#connect(at, remote, addresses[index % addresses.length] as IpAddress);
    });
  }

  /** Looks whether the name of a silent server still has its address, and goes where it leads now. */
  #askAgain(now: number, attempt: Attempt, seconds: number): void {
    const { remote, address } = attempt;
    if (parseIpv4(remote.host) !== undefined) return;
    const host = this.#name(remote);
    this.#resolver.resolve(now, host, (at, result) => {
      const state = this.#state;
      if (state.kind !== "connecting" || state.attempt !== attempt || !result.ok || result.note !== undefined) return;
      if (result.addresses.some((other) => other.equals(address))) return;
      this.#log.write("info", "link.moved", `${host} is no longer at ${address}`, { host });
      this.#leaveFor(at, attempt, seconds);
    });
  }

  /** The name to look up for a remote. */
  #name({ host }: Remote): string {
    return this.#options.config.retry.remoteRandomHostname ? `${this.#randomLabel()}.${host}` : host;
  }

  /** Connects to an address of the profile, unless it cannot be another host's on the WAN. */
  #connectTo(now: number, remote: Remote, address: IpAddress): void {
    const refusal = address.isHost ? this.#refusal(address) : "no address of a host";
    if (refusal === undefined) return this.#connect(now, remote, address);
    this.#heard.write(now, "warn", "link.failed", `the remote ${address} is ${refusal}; nothing is sent there`);
    this.#backOff(now, { kind: "resolve-failed" });
  }

  /** Why a host's address cannot be a remote's, in words that follow "is". */
  #refusal(address: IpAddress): string | undefined {
    const { path, lan } = this.#options;
    const wan = path.wan.address;
    if (address.equals(lan.address) || wan?.address.equals(address) === true) return "our own address";
    if (wan?.isNetworkOrBroadcast(address) === true) return "the network's or the broadcast address of the WAN";
    return undefined;
  }

  /** As openvpn: six bytes in hexadecimal, so that no cache on the way knows the name. */
  #randomLabel(): string {
    const bytes = new Uint8Array(6);
    this.#options.random.fill(bytes);
    return bytes.toHex();
  }

  #connect(now: number, remote: Remote, address: IpAddress): void {
    const { config, path, memory, aead, control, random } = this.#options;
    this.#tls ??= this.#options.tls.context(tlsParameters(config.tls, config.verify));
    const tls = this.#tls;
    const socket = this.#bind();
    if (socket === undefined) {
      this.#log.write("error", "link.failed", `the local port ${config.link.localPort} is in use`);
      return this.#backOff(now, { kind: "resolve-failed" });
    }
    const session = new ClientSession(
      config,
      { slab: memory, aead, control, tls, random, scratch: path.sessionScratch },
      {
        protocol: "udp",
        linkOverhead: LINK_OVERHEAD,
        unixSeconds: this.#options.unixSeconds(),
        authToken: this.#authToken,
      },
    );
    const attempt: Attempt = { remote, address, socket, session };
    socket.collect(path.sinkOf(), address, remote.port);
    path.setLink({ session, socket, address, port: remote.port });
    this.#state = { kind: "connecting", attempt };
    this.#log.write("info", "link.connecting", "", { ...this.#where(attempt), protocol: remote.protocol });
    session.start(now);
    this.#drive(now, attempt);
  }

  #bind(): UdpSocket | undefined {
    const { config, path } = this.#options;
    return path.wan.bindUdp(config.link.localPort ?? 0, {
      onDatagram: () => {},
      onError: (at, error) => {
        this.#heard.write(at, "debug", "link.icmp", "", { type: error.type, code: error.code, from: `${error.dst}` });
      },
    });
  }

  /** Lets the session do what is due, and does what it wants done. */
  #drive(now: number, attempt: Attempt): void {
    const { session } = attempt;
    if (session.pollAt() <= now) session.handleTimeout(now);
    this.#transmit(now, attempt);
    for (let event = session.pollEvent(); event !== undefined; event = session.pollEvent()) {
      this.#handle(now, attempt, event);
      if (!("attempt" in this.#state) || this.#state.attempt !== attempt) return;
    }
    this.#transmit(now, attempt);
  }

  #transmit(now: number, { session, socket, address, remote }: Attempt): void {
    for (let packet = session.pollTransmit(now); packet !== undefined; packet = session.pollTransmit(now)) {
      this.#options.path.wan.sendUdp(now, socket, address, remote.port, packet);
    }
  }

  #handle(now: number, attempt: Attempt, event: SessionEvent): void {
    const log = this.#log;
    switch (event.kind) {
      case "moved":
        log.write("debug", "session.state", "", { from: event.from, to: event.to });
        return;
      case "server-answered":
        log.write("debug", "link.answered", "", this.#where(attempt));
        return;
      case "silence": {
        const { message } = explainSilence(event.seconds, this.#options.config, this.#place(attempt));
        log.write("warn", "link.silent", message, this.#where(attempt));
        // Somebody else may answer; without an alternative the same server is asked on, unless its name has moved.
        if (this.#retry.hasAlternative) this.#leaveFor(now, attempt, event.seconds);
        else this.#askAgain(now, attempt, event.seconds);
        return;
      }
      case "stalled": {
        const { level, message } = explainStall(event.phase, this.#options.config, this.#place(attempt));
        log.write(level, "link.stalled", message, this.#where(attempt));
        return;
      }
      case "tls-established":
        log.write("info", "tls.established", "", { ...this.#where(attempt), tls: event.description });
        return;
      case "auth-pending":
        log.write("info", "auth.pending", "the server waits for another step of the login", { seconds: event.seconds });
        return;
      case "info":
        log.write("info", "server.info", event.text);
        return;
      case "warning":
        log.write("warn", "session.warning", event.text);
        return;
      case "rekeyed":
        log.write("info", "tunnel.rekeyed", "", { key: event.keyId, cipher: event.cipher });
        return;
      case "up":
        return this.#up(now, attempt, event);
      case "ended":
        return this.#ended(now, attempt, event.end);
    }
    event satisfies never;
  }

  #up(now: number, attempt: Attempt, event: SessionEvent & { readonly kind: "up" }): void {
    const { config, path, lan } = this.#options;
    const result = parseTunnelOptions(event.options, config.tunnel.localOptions, {
      serverAddress: attempt.address,
      lan,
    });
    if (!result.ok) return this.#ended(now, attempt, { kind: "push-rejected", problem: result.problem });
    const { tunnel } = result;
    for (const note of tunnel.notes) this.#log.write(note.level, "tunnel.option", note.text);
    const wanted = tunnel.mtu ?? config.tunnel.mtu;
    const mtu = Math.min(wanted, config.tunnel.mtuMax);
    if (mtu < wanted) {
      const text = `the server pushes tun-mtu ${wanted}; ${mtu} is the most that tun-mtu-max allows, and what is used`;
      this.#log.write("warn", "tunnel.option", text);
    }
    path.router.openTunnel({
      address: tunnel.address,
      mtu,
      mssClamp: tunnelMss(config.tunnel.mssFix, mtu, attempt.session.dataOverhead, LINK_OVERHEAD, path.wan.mtu),
      routes: tunnel.routes,
    });
    this.#state = { kind: "up", attempt };
    // When this one ends, the name may have moved.
    this.#found = undefined;
    this.#retry.succeeded(now);
    this.#log.write("info", "tunnel.up", "", {
      address: `${tunnel.peer === undefined ? tunnel.address : tunnel.address.address}`,
      peer: (tunnel.gateway ?? tunnel.peer)?.toString(),
      cipher: event.cipher,
      mtu,
      routes: tunnel.routes.length,
      // What a person can give to the hosts of the LAN.
      dns: tunnel.dns.servers.length === 0 ? undefined : tunnel.dns.servers.join(","),
      server: formatEndpoint({ address: attempt.address, port: attempt.remote.port }),
    });
  }

  #ended(now: number, attempt: Attempt, end: SessionEnd): void {
    this.#transmit(now, attempt);
    const state = this.#state.kind;
    const wasUp = state === "up" || state === "leaving";
    const { level, message } = explainEnd(end, this.#options.config, this.#place(attempt));
    if (wasUp) this.#log.write(level, "tunnel.down", message, { reason: end.kind });
    else this.#log.write(level, "link.failed", message, { ...this.#where(attempt), reason: end.kind });
    this.#release(now, attempt);
    if (state === "leaving") this.#setStopped();
    else this.#backOff(now, end);
  }

  #setStopped(): void {
    this.#state = { kind: "stopped" };
    this.#tls?.close();
    this.#tls = undefined;
  }

  /** Gives up on a silent server for the next remote or address. */
  #leaveFor(now: number, attempt: Attempt, seconds: number): void {
    this.#release(now, attempt);
    this.#backOff(now, { kind: "no-answer", seconds });
  }

  #backOff(now: number, outcome: Outcome): void {
    const delay = this.#retry.ended(outcome, now);
    if (outcome.kind === "auth-failed") this.#loginAt = now + delay;
    this.#state = { kind: "backing-off", until: now + delay };
    if (delay >= 2000) this.#log.write("info", "link.waiting", "", { seconds: Math.round(delay / 100) / 10 });
  }

  /** Forgets what is under way, without a word to the server. */
  #abandon(now: number, reason: string): void {
    const state = this.#state;
    this.#resolver.cancel();
    if (!("attempt" in state)) return;
    if (state.kind === "up") this.#log.write("warn", "tunnel.down", reason, { reason: "abandoned" });
    this.#release(now, state.attempt);
  }

  #release(now: number, { session, socket }: Attempt): void {
    const { path } = this.#options;
    this.#authToken = session.authToken;
    // Where it has not ended by itself: its keys and its TLS are not the collector's.
    session.abandon(now);
    path.router.closeTunnel();
    path.setLink(undefined);
    socket.stopCollecting();
    path.wan.closeUdp(socket);
  }

  #where({ remote, address }: Attempt): Record<string, string | number> {
    return { server: formatEndpoint({ address, port: remote.port }), host: remote.host };
  }

  #place({ remote, address }: Attempt): { address: string; port: number; unixSeconds: number } {
    return { address: `${address}`, port: remote.port, unixSeconds: this.#options.unixSeconds() };
  }
}
