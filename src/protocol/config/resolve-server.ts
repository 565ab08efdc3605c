/** What only a server has: lines -> values. */
import { type Line, printable } from "./lexer.ts";
import { pushRemark } from "./push-remark.ts";
import type { Reader } from "./reader.ts";
import { resolveEntry, resolveWrappedKeys } from "./resolve-server-entry.ts";
import { resolveListen } from "./resolve-server-listen.ts";
import { resolveNetwork } from "./resolve-server-network.ts";
import type { ServerLimits, ServerPart } from "./server-types.ts";
import type { ControlConfig, DeviceType, LinkConfig } from "./types.ts";

export function resolveServer(
  reader: Reader,
  control: ControlConfig,
  {
    link,
    deviceType,
    isHost,
  }: { readonly link: LinkConfig; readonly deviceType: DeviceType; readonly isHost: boolean },
): ServerPart {
  checkMode(reader);
  const listen = resolveListen(reader, link);
  const fragment = reader.last("fragment");
  if (fragment && listen.some(({ protocol }) => protocol === "tcp"))
    reader.problem(fragment, "is only for UDP; over TCP, which cuts packets by itself, remove one of the two");
  return {
    listen,
    wrappedKeys: resolveWrappedKeys(reader),
    network: resolveNetwork(reader, deviceType, isHost),
    entry: resolveEntry(reader, control),
    limits: resolveLimits(reader),
    clientToClient: reader.has("client-to-client"),
    push: resolvePush(reader),
    pushTimers: pushedTimers(reader),
  };
}

/** server and its kin say both. */
function checkMode(reader: Reader): void {
  const mode = reader.last("mode");
  if (mode && !["server", "server-ipv6", "server-bridge", "tls-server"].some((name) => reader.has(name)))
    reader.problem(mode, "server needs tls-server beside it");
}

/** The lines of push, as written: each option in the form in which a client reads it. */
function resolvePush(reader: Reader): string[] {
  return reader.all("push").flatMap((line) => pushedOption(reader, line) ?? []);
}

/** The option of a line of push, with what a person should know of it; undefined: it cannot be pushed, which is a problem of the line. */
export function pushedOption(reader: Reader, line: Line): string | undefined {
  const option = line.words.slice(1).join(" ");
  const wrong =
    line.words.length > 2 ? `what is pushed stands in quotes: push "${printable(option)}"` : pushProblem(option);
  if (wrong !== undefined) {
    reader.problem(line, wrong);
    return undefined;
  }
  const remark = pushRemark(option);
  if (remark !== undefined) reader.warn(line, remark);
  return option;
}

/** What is wrong with the text of an option that is pushed; undefined: nothing. */
function pushProblem(option: string): string | undefined {
  if (option.trim() === "") return "holds no option";
  // Commas part the options of the message.
  if (option.includes(",")) return `"${printable(option)}" holds a comma, which cannot be pushed`;
  return undefined;
}

/** As OpenVPN's helper.c (helper_keepalive, helper_tcp_nodelay): the clients get the file's values, this end waits twice as long. */
function pushedTimers(reader: Reader): string[] {
  const pushed: string[] = [];
  const line = reader.last("keepalive");
  const [, ping = "", timeout = ""] = line?.words ?? [];
  if (line && !(ping === "0" && timeout === "0"))
    pushed.push(`ping ${Number(ping)}`, `ping-restart ${Number(timeout)}`);
  if (reader.has("tcp-nodelay")) pushed.push("socket-flags TCP_NODELAY");
  return pushed;
}

/** OpenVPN's defaults (its options.c, init_options). */
const DEFAULTS: ServerLimits = {
  maxClients: 1024,
  connectFreq: undefined,
  connectFreqInitial: { count: 100, seconds: 10 },
  maxRoutesPerClient: 256,
};
/** What a server tells apart (65,536), less those that are in the midst of a handshake (roster.ts, MOST_PEERS and MAX_NEWCOMERS). */
const MAX_CLIENTS = 65_280;
const COUNT = { min: 1, max: 0x7fff_ffff };

function resolveLimits(reader: Reader): ServerLimits {
  return {
    maxClients: reader.int("max-clients", DEFAULTS.maxClients, { min: 1, max: MAX_CLIENTS }),
    connectFreq: frequency(reader, "connect-freq"),
    connectFreqInitial: frequency(reader, "connect-freq-initial") ?? DEFAULTS.connectFreqInitial,
    maxRoutesPerClient: reader.int("max-routes-per-client", DEFAULTS.maxRoutesPerClient, COUNT),
  };
}

/** The last line of `N SECONDS`. */
function frequency(reader: Reader, name: string): ServerLimits["connectFreq"] {
  let value: ServerLimits["connectFreq"];
  for (const line of reader.all(name)) {
    const count = reader.number(line, 1, COUNT);
    const seconds = reader.number(line, 2, COUNT);
    if (count !== undefined && seconds !== undefined) value = { count, seconds };
  }
  return value;
}
