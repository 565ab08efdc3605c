/**
 * The appliance between two devices: configuration, data path, WAN address, tunnel. It never ends by itself: a problem
 * of the configuration is logged at its line and the LAN stays closed; what can get better by itself is tried again.
 *
 * Commands (leave, reconnect, askForStatistics) come from signal handlers and buttons, where nobody would catch an error: they are
 * noted, and control() carries them out within the loop.
 */
import { BoundedLog } from "../lib/bounded-log.ts";
import { FailureLog } from "../lib/failure-log.ts";
import type { IpAddress } from "../lib/ip.ts";
import type { Log, LogLevel } from "../lib/log.ts";
import { DateWatch } from "../platform/crypto/date-watch.ts";
import type { FrameDevice } from "../platform/dev/frame-device.ts";
import type { RecordQueue } from "../platform/log/record-queue.ts";
import type { Part, Turns } from "../platform/loop.ts";
import type { StateStore } from "../platform/state/store.ts";
import type { NativeMemory } from "../platform/sys/memory.ts";
import { unixSeconds } from "../platform/wall-clock.ts";
import { Succession } from "../tunnel/succession.ts";
import { Dialing } from "./dialing.ts";
import { type Forwarding, forwardingOf, isOther } from "./forwarding.ts";
import { ownPrf } from "./identity.ts";
import type { LanSide, StatusSources } from "./lan-side.ts";
import { LinkWatch } from "./link-watch.ts";
import { type Middle, openMiddle } from "./middle.ts";
import type { LoadResult } from "./profile.ts";
import { needRestart, sayLoaded } from "./reload.ts";
import { Serving } from "./serving.ts";
import { collectStatistics, logStatistics, type PartCounters } from "./statistics.ts";
import { reportOf, type StatusReport } from "./status/report.ts";
import { type Profile, type VpnEnd, vpnParts } from "./vpn-end.ts";
import { WanSide } from "./wan-side.ts";

export interface ApplianceOptions {
  readonly memory: NativeMemory;
  readonly wan: FrameDevice;
  /** undefined: there is none, which only a server can do without. */
  readonly lan: FrameDevice | undefined;
  readonly log: Log;
  /** What the log has written, for a collector. */
  readonly records: RecordQueue;
  /** When it is made, by the clock of the loop. */
  readonly now: number;
  /** The configuration that it starts with. */
  readonly loaded: LoadResult;
  /** Reads it again, at every reconnect that a person asks for. */
  readonly load: () => LoadResult;
  readonly setLogLevel: (level: LogLevel) => void;
  /** How a mended configuration is taken, for the log. */
  readonly mending: string;
  /** What outlives a restart; undefined: nothing does. */
  readonly state: StateStore | undefined;
}

const STATISTICS_EVERY_MS = 3_600_000;
/** Longest goodbye: the exit notify and its repetitions. */
const LEAVE_WITHIN_MS = 3000;
const NEVER = Number.POSITIVE_INFINITY;
const REACH_CHANGED =
  "what clients reach has changed (server.lan, server.internet, or a pushed redirect-gateway); it counts from the next start on";

export class Appliance implements Turns {
  readonly #options: ApplianceOptions;
  readonly #log: Log;
  readonly #failures: FailureLog;
  readonly #middle: Middle;
  readonly #path: Middle["path"];
  readonly #wan: WanSide;
  /** Our addresses and services on the LAN; undefined: there are none. */
  readonly #lan: LanSide | undefined;
  readonly #dialing: Dialing;
  readonly #serving: Serving;
  readonly #links: LinkWatch;
  readonly #forwarding: Forwarding;
  readonly #dates: DateWatch;
  readonly #ends = new Succession<VpnEnd>({
    make: (now) => this.#open(now),
    start: (now, end) => {
      if (this.#wan.isUp) end.networkUp(now);
    },
    discard: (now, end) => end.discard(now),
  });
  #profile: Profile | undefined;
  /** What was read last, which may be of no use. */
  #loaded: LoadResult;
  #statisticsAt: number;
  /** Commands that control() has not carried out yet. */
  #reconnectWanted = false;
  #leaveCause: string | undefined;
  /** It says goodbye, until then at the latest. */
  #leaveBy = NEVER;
  #done = false;

  /** Brings the LAN up; everything else happens in the loop. */
  constructor(options: ApplianceOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#failures = new FailureLog(options.log);
    const { now, memory, log, records, wan, lan, loaded, state } = options;
    const { settings } = loaded;
    const heard = new BoundedLog(log);
    this.#statisticsAt = now + STATISTICS_EVERY_MS;
    this.#dates = new DateWatch(now, { log, config: () => this.#profile?.config, unixSeconds });
    options.setLogLevel(settings.log.level);
    this.#forwarding = forwardingOf(loaded);
    const prf = ownPrf(lan === undefined ? [wan.mac] : [wan.mac, lan.mac], settings.hostname);
    const authorities = () => (this.#profile?.config.role === "client" ? this.#profile.config.tls.ca : undefined);
    const own = { settings, memory, log, heard, prf };
    this.#loaded = loaded;
    const status: StatusSources = { report: (at) => this.#report(at), commands: () => this.#end?.commands };
    const middle = openMiddle({ ...own, records, now, wan, lan, state, authorities, status }, this.#forwarding);
    const { path } = middle;
    this.#middle = middle;
    this.#path = path;
    this.#lan = middle.lan;
    this.#wan = new WanSide({
      ...own,
      path,
      device: wan,
      events: {
        up: (at) => this.#end?.networkUp(at),
        down: (at, reason) => this.#end?.networkDown(at, reason),
      },
    });
    const parts = vpnParts(path, memory, log);
    this.#dialing = new Dialing(parts, middle.side, this.#wan.resolver);
    const isSettling = (): boolean => this.#wan.isSettling;
    const lacks = (address: IpAddress): boolean => this.#wan.lacks(address);
    const { serverSide } = middle;
    this.#serving = new Serving({ parts, serverSide, lan: this.#lan?.networks ?? [], state, isSettling, lacks });
    this.#links = new LinkWatch(path, log, {
      wanUp: (at) => this.#wan.uplinks.start(at),
      wanDown: (at) => this.#wan.uplinks.stop(at, "the WAN link is down"),
      lanUp: (at) => this.#lan?.linkUp(at),
    });
    sayLoaded(log, loaded, options.mending, false);
    if (loaded.ok) this.#profile = loaded;
    this.#takeStatus(loaded);
    this.#ends.begin(now);
    path.flush(now);
  }

  receive(now: number): boolean {
    return this.#path.receive(now);
  }

  control(now: number): void {
    const path = this.#path;
    if (this.#leaveCause !== undefined && !this.#isLeaving) this.#leave(now, this.#leaveCause);
    if (this.#reconnectWanted) this.#reconnect(now);
    if (now >= this.#links.pollAt()) this.#links.look(now);
    if (path.pollAt() <= now) path.handleTimeout(now);
    this.#wan.poll(now);
    this.#ends.poll(now);
    this.#end?.poll(now);
    this.#lan?.poll(now);
    if (now >= this.#statisticsAt) this.#sayStatistics(now);
    this.#dates.poll(now);
    this.#options.state?.poll(now);
    path.flush(now);
    if (this.#isLeaving && (this.#hasLeft(now) || now >= this.#leaveBy)) this.#finish(now);
  }

  pollAt(): number {
    if (this.#reconnectWanted || (this.#leaveCause !== undefined && !this.#isLeaving)) return Number.NEGATIVE_INFINITY;
    return Math.min(
      this.#path.pollAt(),
      this.#wan.pollAt(),
      this.#lan?.pollAt() ?? NEVER,
      this.#end?.pollAt() ?? NEVER,
      this.#links.pollAt(),
      this.#options.state?.pollAt() ?? NEVER,
      this.#statisticsAt,
      this.#dates.pollAt(),
      this.#ends.pollAt(),
      this.#leaveBy,
    );
  }

  done(): boolean {
    return this.#done;
  }

  failed(now: number, error: unknown, during: Part): void {
    this.#path.discard();
    this.#failures.write(now, error);
    if (now >= this.#leaveBy) this.#done = true;
    // A packet that failed is gone, but a timer or an event would fail again.
    else if (during === "control") this.#ends.giveUp(now);
  }

  /** Command: say goodbye to the other end and end. */
  leave(cause: string): void {
    this.#leaveCause ??= cause;
  }

  /** Command: read the configuration again and go on with it, a client by connecting anew; with problems in it what runs goes on. */
  reconnect(): void {
    this.#reconnectWanted = true;
  }

  /** Command: log the statistics, which are next due an hour later. */
  askForStatistics(): void {
    this.#statisticsAt = Number.NEGATIVE_INFINITY;
  }

  /** Ends at once, without waiting for anything. */
  stop(now: number, reason: string): void {
    this.#end?.stop(now, reason);
    this.#path.flush(now);
  }

  /** The end that runs; undefined: there is none now. */
  get #end(): VpnEnd | undefined {
    return this.#ends.current;
  }

  get #isLeaving(): boolean {
    return this.#leaveBy !== NEVER;
  }

  /** Goodbye was said, what is to outlive the end is written, and the collector of the log has what it can take. */
  #hasLeft(now: number): boolean {
    const isTold = this.#lan?.syslog.isBusy !== true;
    return this.#ends.left && (this.#options.state?.isIdle(now) ?? true) && isTold;
  }

  #leave(now: number, cause: string): void {
    this.#leaveBy = now + LEAVE_WITHIN_MS;
    this.#log.write("info", "shutdown", "", { cause });
    this.#ends.leave(now);
    this.#options.state?.hurry(now);
  }

  #reconnect(now: number): void {
    this.#reconnectWanted = false;
    if (this.#isLeaving) return;
    if (this.#profile?.config.role === "server")
      this.#log.write("info", "reload", "reading the configuration again; sessions go on");
    else this.#log.write("info", "reconnect", "reading the configuration again, and connecting anew when it is good");
    const loaded = this.#options.load();
    sayLoaded(this.#log, loaded, this.#options.mending, this.#profile !== undefined);
    this.#loaded = loaded;
    if (!loaded.ok) return;
    if (isOther(forwardingOf(loaded), this.#forwarding)) return this.#makeWay(now, loaded);
    this.#profile = loaded;
    this.#reload(now, loaded);
    if (this.#end?.reload(now, loaded) === true) return;
    this.#end?.stop(now, "reconnect requested");
    this.#ends.begin(now);
  }

  /** Everything is another in the other role, and with a bridge in the router's place: whoever made this appliance makes one again. */
  #makeWay(now: number, { config }: Profile): void {
    this.#log.write(
      "warn",
      "role.changed",
      `the profile is a ${config.role}'s with dev ${config.deviceType} now: starting anew with it`,
    );
    this.#finish(now);
  }

  /** Takes what can change while it runs, and says what cannot. */
  #reload(now: number, loaded: Profile): void {
    const { settings } = loaded;
    this.#options.setLogLevel(settings.log.level);
    this.#middle.take(now, settings);
    this.#takeStatus(loaded);
    this.#wan.reload(now, settings, this.#links.wanUp);
    const text = needRestart(this.#wan.settings, settings);
    if (text !== undefined) this.#log.write("warn", "config.warning", text);
    const { kind } = this.#forwarding;
    if (kind === "server" && JSON.stringify(forwardingOf(loaded)) !== JSON.stringify(this.#forwarding))
      this.#log.write("warn", "config.warning", REACH_CHANGED);
  }

  #open(now: number): VpnEnd | undefined {
    const profile = this.#profile;
    if (profile === undefined) return undefined;
    const { config } = profile;
    if (config.role !== "server" && this.#options.lan === undefined) {
      this.#log.write(
        "error",
        "config.invalid",
        `${config.file}: only a server can do without a LAN; name its interface (--lan)`,
      );
      return undefined;
    }
    return config.role === "server" ? this.#serving.open(now, profile, config) : this.#dialing.open(config);
  }

  #sayStatistics(now: number): void {
    this.#statisticsAt = now + STATISTICS_EVERY_MS;
    logStatistics(this.#log, this.#statistics());
    for (const { event, text, fields } of this.#end?.remarks(now) ?? []) this.#log.write("info", event, text, fields);
  }

  #statistics(): PartCounters[] {
    const { uplinks } = this.#wan;
    const { dhcp, dns, status, syslog, counters } = this.#lan ?? {};
    const ipv6 = { ...uplinks.counters, ...counters };
    const session = this.#end?.counters();
    return collectStatistics({ path: this.#path, session, dhcp, dns, status, syslog, ipv6, lease: uplinks.drops });
  }

  /** Who may give commands on the status page; nobody, where something is wrong with the settings. */
  #takeStatus(loaded: LoadResult): void {
    const { commands } = loaded.settings.status;
    this.#lan?.status?.take(loaded.ok ? { commands, users: loaded.operators } : { commands: false, users: undefined });
  }

  /** For the status page, which there is where the LAN has addresses of ours. */
  #report(now: number): StatusReport {
    const { path } = this.#middle;
    const lan = this.#lan;
    if (lan === undefined || "bridge" in path) throw new Error("a bridge has no status page");
    return reportOf(now, {
      ...{ path, lan, isWanUp: this.#wan.isUp, loaded: this.#loaded, end: this.#end?.status },
      hostname: this.#wan.settings.hostname,
      role: this.#profile?.config.role ?? null,
      statistics: this.#statistics(),
      unixMs: Date.now(),
    });
  }

  #finish(now: number): void {
    if (this.#done) return;
    this.stop(now, "shutdown");
    this.#lan?.leave(now);
    this.#wan.uplinks.leave(now);
    this.#path.flush(now);
    this.#done = true;
  }
}
