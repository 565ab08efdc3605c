/**
 * `PCAP=1 bun test FILE` writes what the virtual tests send to tmp/FILE-N.pcap, one for each network or session in the
 * order in which the tests make them, and the inner side (packets of the tunnel) to tmp/FILE-N-inner.pcap. Datagrams of
 * a simulated session lie in IPv4 and UDP on OpenVPN's port, so that Wireshark takes them apart. Without PCAP nothing
 * is written.
 */
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { concat } from "../../src/lib/bytes.ts";
import { LINKTYPE_ETHERNET, LINKTYPE_RAW, pcapFileHeader, pcapRecordHeader } from "../../src/lib/pcap.ts";

const FOLDER = new URL("../../tmp", import.meta.url).pathname;
const OPENVPN_PORT = 1194;
const CLIENT_PORT = 40_000;

export interface Tap {
  /** A packet that is on its way. */
  record(ms: number, packet: Uint8Array): void;
}

const off: Tap = { record() {} };
let files = 0;

/** @param suffix of the file's name, behind its number; files with different suffixes may share the number `of` */
export function tap(linkType: number, suffix = "", of = ++files): Tap {
  if (process.env["PCAP"] === undefined) return off;
  const path = `${FOLDER}/${basename(Bun.main).replace(/\.test\.ts$/, "")}-${of}${suffix}.pcap`;
  let isOpen = false;
  return {
    record(ms, packet) {
      // a file only where there is something to be seen
      if (!isOpen) {
        mkdirSync(FOLDER, { recursive: true });
        writeFileSync(path, pcapFileHeader(linkType));
        isOpen = true;
      }
      appendFileSync(path, concat(pcapRecordHeader(ms, packet.length), packet));
    },
  };
}

/** Both sides of a session: datagrams outside, packets of the tunnel inside. */
export function sessionTap(): {
  outer(ms: number, toServer: boolean, datagram: Uint8Array): void;
  readonly inner: Tap;
} {
  const number = ++files;
  const outer = tap(LINKTYPE_RAW, "", number);
  return {
    outer: (ms, toServer, datagram) => outer.record(ms, inUdp(toServer, datagram)),
    inner: tap(LINKTYPE_RAW, "-inner", number),
  };
}

/** The frames of a netstack bed: Ethernet outside, IP packets (the tunnel's side) inside. Their order is right, their times are not known. */
export function bedTap(): (bytes: Uint8Array) => void {
  const number = ++files;
  const outer = tap(LINKTYPE_ETHERNET, "", number);
  const inner = tap(LINKTYPE_RAW, "-inner", number);
  let ms = 0;
  return (bytes) => (isIpv4(bytes) ? inner : outer).record(++ms, bytes);
}

/** No MAC of a test begins with 4. */
const isIpv4 = (bytes: Uint8Array): boolean => (bytes[0] ?? 0) >> 4 === 4;

function inUdp(toServer: boolean, datagram: Uint8Array): Uint8Array {
  const head = new DataView(new ArrayBuffer(28));
  head.setUint16(0, 0x4500);
  head.setUint16(2, 28 + datagram.length);
  head.setUint16(8, 0x4011);
  const [client, server] = [0xc000_0202, 0xc000_0201];
  head.setUint32(12, toServer ? client : server);
  head.setUint32(16, toServer ? server : client);
  head.setUint16(20, toServer ? CLIENT_PORT : OPENVPN_PORT);
  head.setUint16(22, toServer ? OPENVPN_PORT : CLIENT_PORT);
  head.setUint16(24, 8 + datagram.length);
  return concat(new Uint8Array(head.buffer), datagram);
}
