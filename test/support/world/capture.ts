/** What was on the WAN: a capture by tcpdump beside the gateway, sorted by kind from its file. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { inUserNamespace } from "./privilege.ts";
import type { Daemon } from "./process.ts";

export type Kind = "arp" | "nd" | "dhcp" | "dns" | "openvpn" | "other";

/** What a WAN may carry for one router. Addresses as dotted text. */
export interface Expectation {
  /** MAC of the gateway's interface: frames from it are answers. */
  readonly gatewayMac: string;
  /** First three octets of the WAN's addresses, with the dot. */
  readonly network: string;
  readonly resolver: string;
  /** The names that may be asked for. */
  readonly names: readonly string[];
  readonly servers: readonly { readonly address: string; readonly port: number }[];
}

export interface Tally {
  readonly sent: Record<Kind, number>;
  readonly received: Record<Kind, number>;
  /** Bytes of OpenVPN frames, both ways. */
  readonly openvpnBytes: number;
  /** The first few frames from the router that should not be there, in words. */
  readonly odd: readonly string[];
  /** The first few of those to the router that no exchange of its own explains, in words. */
  readonly strays: readonly string[];
}

export class Capture {
  readonly path: string;
  private readonly tcpdump: Daemon;

  constructor(path: string, tcpdump: Daemon) {
    this.path = path;
    this.tcpdump = tcpdump;
  }

  /** Whether a frame with these bytes has been written. */
  holds(bytes: Uint8Array): boolean {
    return this.read().includes(bytes);
  }

  /** What has been written so far, by kind. */
  tally(expectation: Expectation): Tally {
    return sortFrames(this.read(), expectation);
  }

  private read(): Buffer {
    return existsSync(this.path) ? readFileSync(this.path) : Buffer.alloc(0);
  }

  async stop(): Promise<void> {
    await this.tcpdump.stop();
  }
}

/** The command that records the head of every frame on an interface. */
export function captureCommand(device: string, path: string): string[] {
  if (inUserNamespace()) return [process.execPath, join(import.meta.dir, "frame-capture.ts"), device, path];
  return ["tcpdump", "-Z", "root", "-i", device, "-U", "--immediate-mode", "-s", "256", "-w", path];
}

/** Sorts the frames of a classic pcap file; a record that is cut off at the end is left for the next time. */
export function sortFrames(file: Uint8Array, expectation: Expectation): Tally {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const zero = (): Record<Kind, number> => ({ arp: 0, nd: 0, dhcp: 0, dns: 0, openvpn: 0, other: 0 });
  const sent = zero();
  const received = zero();
  const odd: string[] = [];
  const strays: string[] = [];
  const fragments = new Set<string>();
  let openvpnBytes = 0;
  const little = file.length < 24 || [0xa1b2c3d4, 0xa1b23c4d].includes(view.getUint32(0, true));
  for (let at = 24; at + 16 <= file.length; ) {
    const captured = view.getUint32(at + 8, little);
    const full = view.getUint32(at + 12, little);
    const start = at + 16;
    at = start + captured;
    if (at > file.length) break;
    const frame = file.subarray(start, at);
    const answer = mac(frame, 6) === expectation.gatewayMac;
    const kind = kindOf(frame, answer, expectation, fragments);
    (answer ? received : sent)[kind]++;
    if (kind === "openvpn") openvpnBytes += full;
    const strange = answer ? strays : odd;
    if (kind === "other" && strange.length < 10) strange.push(describeFrame(frame));
  }
  return { sent, received, openvpnBytes, odd, strays };
}

function kindOf(frame: Uint8Array, answer: boolean, expected: Expectation, fragments: Set<string>): Kind {
  if (frame.length < 34) return "other";
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const type = view.getUint16(12);
  if (type === 0x0806) {
    const sender = dotted(frame, 28);
    return answer || sender === "0.0.0.0" || sender.startsWith(expected.network) ? "arp" : "other";
  }
  if (type === 0x86dd) return kindOf6(frame, answer);
  if (type !== 0x0800 || frame[23] !== 17) return "other";
  const near = answer ? 30 : 26;
  const far = dotted(frame, answer ? 26 : 30);
  const id = `${view.getUint16(18)} ${far} ${dotted(frame, near)}`;
  const fragment = view.getUint16(20) & 0x3fff;
  if ((fragment & 0x1fff) !== 0) return fragments.has(id) ? "openvpn" : "other";
  const udp = 14 + (frame[14]! & 15) * 4;
  if (frame.length < udp + 8) return "other";
  const nearPort = view.getUint16(answer ? udp + 2 : udp);
  const farPort = view.getUint16(answer ? udp : udp + 2);
  if (nearPort === 68 && farPort === 67) return "dhcp";
  if (farPort === 53 && far === expected.resolver)
    return expected.names.includes(questionName(frame, udp + 8)) ? "dns" : "other";
  if (expected.servers.some((server) => server.address === far && server.port === farPort)) {
    if (fragment !== 0) fragments.add(id);
    return "openvpn";
  }
  return "other";
}

/** Neighbour discovery (RFC 4861: hop limit 255; a router advertisement is an answer only) and DHCPv6. */
function kindOf6(frame: Uint8Array, answer: boolean): Kind {
  if (frame.length < 62) return "other";
  const [next, hops, type] = [frame[20], frame[21], frame[54] as number];
  if (next === 58 && hops === 255) {
    const isOurs = type === 133 || type === 135 || type === 136;
    return isOurs || (answer && type === 134) ? "nd" : "other";
  }
  const port = (at: number): number => ((frame[at] as number) << 8) | (frame[at + 1] as number);
  const [near, far] = answer ? [port(56), port(54)] : [port(54), port(56)];
  return next === 17 && near === 546 && far === 547 ? "dhcp" : "other";
}

/** The name of the first question of a DNS message at `at`, in lower case without the last dot. */
function questionName(frame: Uint8Array, at: number): string {
  const labels: string[] = [];
  for (let label = at + 12; label < frame.length && frame[label]! > 0; label += frame[label]! + 1) {
    labels.push(new TextDecoder().decode(frame.subarray(label + 1, label + 1 + frame[label]!)));
  }
  return labels.join(".").toLowerCase();
}

function describeFrame(frame: Uint8Array): string {
  if (frame.length < 34) return `a frame of ${frame.length} bytes`;
  const type = (frame[12]! << 8) | frame[13]!;
  if (type !== 0x0800) return `${mac(frame, 6)} > ${mac(frame, 0)}, type 0x${type.toString(16)}`;
  const udp = 14 + (frame[14]! & 15) * 4;
  const ports = (frame[23] === 6 || frame[23] === 17) && frame.length >= udp + 4;
  const port = (at: number): string => (ports ? `:${(frame[at]! << 8) | frame[at + 1]!}` : "");
  const protocol = { 1: "ICMP", 6: "TCP", 17: "UDP" }[frame[23]!] ?? `IPv4 protocol ${frame[23]}`;
  return `${protocol}, ${dotted(frame, 26)}${port(udp)} > ${dotted(frame, 30)}${port(udp + 2)}`;
}

const dotted = (frame: Uint8Array, at: number): string => frame.subarray(at, at + 4).join(".");
const mac = (frame: Uint8Array, at: number): string =>
  Array.from(frame.subarray(at, at + 6), (byte) => byte.toString(16).padStart(2, "0")).join(":");
