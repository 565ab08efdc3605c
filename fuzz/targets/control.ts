/** Control packets, the messages in them, and what a server pushes. */
import { type Cidr, parseCidr } from "../../src/lib/cidr.ts";
import { IpAddress } from "../../src/lib/ip.ts";
import { decodeUtf8 } from "../../src/protocol/config/utf8.ts";
import { ControlMessages, parseControlMessage } from "../../src/protocol/control/message.ts";
import { noblePrimitives } from "../../src/protocol/control/noble-primitives.ts";
import { controlCheck, controlEmit, controlRead } from "../../src/protocol/control/packet.ts";
import { TlsAuth } from "../../src/protocol/control/tls-auth.ts";
import { TlsCrypt } from "../../src/protocol/control/tls-crypt.ts";
import { DROP_NONE } from "../../src/protocol/drop.ts";
import { parseSessionOptions } from "../../src/protocol/push/session-options.ts";
import { parseTunnelOptions } from "../../src/protocol/push/tunnel-options.ts";
import { PushUpdates } from "../../src/protocol/push/update.ts";
import { Decisions, type Target } from "../target.ts";

const KEY = Uint8Array.from({ length: 256 }, (_, i) => (i * 7 + 3) & 0xff);
const SIDES = [
  [new TlsAuth(KEY, 0, "SHA1", noblePrimitives), new TlsAuth(KEY, 1, "SHA1", noblePrimitives)],
  [new TlsAuth(KEY, undefined, "SHA512", noblePrimitives), new TlsAuth(KEY, undefined, "SHA512", noblePrimitives)],
  [new TlsCrypt(KEY, 0, noblePrimitives), new TlsCrypt(KEY, 1, noblePrimitives)],
] as const;

/** The first byte chooses the protection, and whether the rest is what is on the link or what the peer protects. */
export const control: Target = {
  run(input, seen) {
    const decisions = new Decisions(input);
    const how = decisions.byte();
    const [peer, own] = SIDES[how % SIDES.length] as (typeof SIDES)[number];
    const rest = decisions.take(4096);
    const isSealed = (how & 0x80) !== 0 && rest.length > 9;
    const opened = own.open(isSealed ? peer.seal(rest, 1, 2) : rest);
    if (typeof opened === "number") return seen(`drop ${opened}`);
    if (isSealed && !Buffer.from(opened.plain).equals(rest)) throw new Error("opened is not what was sealed");
    const drop = controlCheck(opened.plain);
    if (drop !== DROP_NONE) return seen(`drop ${drop}`);
    const packet = controlRead(opened.plain);
    seen(`opcode ${packet.opcode & 15}, acks ${packet.acks.length > 0}, payload ${packet.payload.length > 0}`);
    if (packet.packetId !== undefined && !Buffer.from(controlEmit(packet)).equals(opened.plain))
      throw new Error("emitted is not what was read");
  },
};

/** Control messages in two parts. */
export const controlMessage: Target = {
  run(input, seen) {
    const messages = new ControlMessages();
    const half = input.length >> 1;
    for (const part of [input.subarray(0, half), input.subarray(half)])
      for (const message of messages.feed(part)) seen(message.kind);
  },
};

const LAN = parseCidr("10.0.0.1/8") as Cidr;

export const push: Target = {
  run(input, seen) {
    const text = decodeUtf8(input);
    const options = text.split(",");
    const updates = new PushUpdates(["route 10.1.0.0", "ifconfig 10.8.0.2 255.255.255.0"]);
    const message = parseControlMessage(`PUSH_UPDATE,${text}`);
    if (message.kind === "push-update") {
      const problem = updates.add(message, { routeNoPull: false, filters: [] });
      seen(`update ${problem === undefined ? updates.isComplete : "refused"} ${updates.ignored.length > 0}`);
    }
    const session = parseSessionOptions(options);
    if (typeof session !== "string")
      for (const text of session.ignored) seen(text.replace(/[^ a-z]/g, "").slice(0, 30));
    const tunnel = parseTunnelOptions(options, [], { serverAddress: IpAddress.fromIpv4(1), lan: [LAN] });
    seen(
      JSON.stringify(tunnel)
        .replace(/[0-9a-f.:]{2,}/g, "#")
        .slice(0, 100),
    );
  },
};
