/** What can be fuzzed: each target takes arbitrary bytes and must neither throw nor hang. */
import { Cidr } from "../src/lib/cidr.ts";
import { IpAddress } from "../src/lib/ip.ts";
import { slabOver } from "../src/lib/slab.ts";
import { printFrame } from "../src/netstack/wire/print.ts";
import { parseConfig } from "../src/protocol/config/parse.ts";
import { decodeUtf8 } from "../src/protocol/config/utf8.ts";
import { ControlMessages } from "../src/protocol/control/message.ts";
import { parseSessionOptions } from "../src/protocol/push/session-options.ts";
import { parseTunnelOptions } from "../src/protocol/push/tunnel-options.ts";

export interface Target {
  /** Inputs that mutations start from. */
  readonly seeds: readonly Uint8Array[];
  run(input: Uint8Array): void;
}

const text = (s: string): Uint8Array => new TextEncoder().encode(s);
const hex = (s: string): Uint8Array => Uint8Array.fromHex(s.replace(/\s/g, ""));

const slab = slabOver(new ArrayBuffer(1 << 17));
const FRAME_AT = 1024;
const LAN = new Cidr(IpAddress.fromIpv4(0x0a000001), 8);

export const TARGETS: Readonly<Record<string, Target>> = {
  /** Whole Ethernet frames through the printer, which reaches every wire parser (DHCP and DNS too). */
  frame: {
    seeds: [
      // ARP request; ICMP echo; UDP to DNS; TCP SYN with options
      hex("ffffffffffff525400000001 0806 0001 0800 06 04 0001 525400000001 c0a83202 000000000000 c0a83201"),
      hex("525400000002525400000001 0800 45000054 00004000 4001 0000 c0a83202 0a080001 0800 0000 00010001 00010203"),
      hex(
        "525400000002525400000001 0800 45000039 00000000 4011 0000 c0a83202 09090909 8000 0035 0025 0000" +
          "0007 0100 0001 0000 0000 0000 03766e70 076578616d706c65 00 0001 0001",
      ),
      hex(
        "525400000002525400000001 0800 4500002c 00004000 4006 0000 c0a83202 0a080001 8000 0050 00000001 00000000 6002ffff 00000000 020405b4",
      ),
    ],
    run(input) {
      const bytes = input.subarray(0, 65536);
      slab.bytes.set(bytes, FRAME_AT);
      printFrame(slab.view, FRAME_AT, bytes.length);
    },
  },
  config: {
    seeds: [
      text(
        "client\ndev tun\nproto udp\nremote vpn.example 1194\nnobind\nremote-cert-tls server\nauth-user-pass\n<ca>\n-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n</ca>\n",
      ),
      text(
        'remote "a b" 1 udp\r\n<connection>\r\nremote x\r\n</connection>\r\npull-filter ignore "route"\r\ncipher AES-256-CBC',
      ),
    ],
    run(input) {
      parseConfig({ file: "fuzz.ovpn", text: decodeUtf8(input) }, () => undefined);
    },
  },
  "control-message": {
    seeds: [
      text("PUSH_REPLY,route 10.0.0.0 255.0.0.0,ifconfig 10.8.0.2 255.255.255.0,peer-id 0,push-continuation 2\0"),
      text(
        "AUTH_FAILED,TEMP[backoff 42,advance no]:later\0RESTART,[N]\0INFO_PRE,WEB_AUTH:x:y\0AUTH_PENDING,timeout 30\0",
      ),
    ],
    run(input) {
      const messages = new ControlMessages();
      const half = input.length >> 1;
      messages.feed(input.subarray(0, half));
      messages.feed(input.subarray(half));
    },
  },
  push: {
    seeds: [
      text("ifconfig 10.8.0.2 255.255.255.0,topology subnet,route-gateway 10.8.0.1,redirect-gateway def1,tun-mtu 1400"),
      text(
        'ifconfig 10.8.0.6 10.8.0.5,route 10.0.0.0 255.0.0.0 vpn_gateway 3,dns server 1 address 9.9.9.9 [2620:fe::fe]:53,dhcp-option DOMAIN "a b"',
      ),
    ],
    run(input) {
      const options = decodeUtf8(input).split(",");
      parseSessionOptions(options);
      parseTunnelOptions(options, [], { serverAddress: IpAddress.fromIpv4(1), lan: LAN });
    },
  },
};
