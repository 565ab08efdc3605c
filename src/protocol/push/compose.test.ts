import { expect, test } from "bun:test";
import fc from "fast-check";
import { parseControlMessage } from "../control/message.ts";
import type { KeyPlan } from "../data/key-plan.ts";
import { PEER_ID_NONE } from "../data/packet.ts";
import { PushReply } from "./collect.ts";
import { composePlan, composePush, PUSH_BUNDLE } from "./compose.ts";
import { parseSessionOptions } from "./session-options.ts";

const plan: KeyPlan = {
  cipher: "AES-128-GCM",
  derivation: "ekm",
  peerId: 7,
  compression: "none",
  digest: "SHA1",
  dynamicTlsCrypt: false,
  epoch: false,
};

test("what openvpn 2.6 pushes for the data channel", () => {
  expect(composePlan(plan, true)).toEqual(["peer-id 7", "cipher AES-128-GCM", "protocol-flags cc-exit tls-ekm"]);
  expect(composePlan({ ...plan, dynamicTlsCrypt: true }, true).at(-1)).toBe(
    "protocol-flags cc-exit tls-ekm dyn-tls-crypt",
  );
  // and 2.7
  expect(composePlan({ ...plan, dynamicTlsCrypt: true, epoch: true }, true).at(-1)).toBe(
    "protocol-flags cc-exit tls-ekm dyn-tls-crypt aead-epoch",
  );
  expect(composePlan({ ...plan, derivation: "prf" }, true)).toEqual([
    "peer-id 7",
    "cipher AES-128-GCM",
    "protocol-flags cc-exit",
  ]);
});

test("a client that reads no protocol-flags hears of the exporter as of 2.6's first betas; one without DATA_V2 of no peer id", () => {
  expect(composePlan({ ...plan, peerId: PEER_ID_NONE }, false)).toEqual([
    "cipher AES-128-GCM",
    "key-derivation tls-ekm",
  ]);
  expect(composePlan({ ...plan, derivation: "prf" }, false)).toEqual(["peer-id 7", "cipher AES-128-GCM"]);
});

test("a client reads the plan that was composed", () => {
  const read = parseSessionOptions(composePlan(plan, true));
  expect(read).toMatchObject({ cipher: "AES-128-GCM", peerId: 7, keyDerivation: "ekm", ccExit: true, problems: [] });
});

test("any options arrive whole and in order, in messages that openvpn takes", () => {
  const option = fc
    .integer({ min: 1, max: 300 })
    .map((length) => "abcdefghij klmnopqrst".repeat(20).slice(0, length).trim());
  fc.assert(
    fc.property(fc.array(option, { maxLength: 60, size: "max" }), (options) => {
      const messages = composePush(options) as readonly string[];
      const reply = new PushReply();
      const arrived: string[] = [];
      for (const [i, text] of messages.entries()) {
        expect(text.length).toBeLessThan(PUSH_BUNDLE);
        const message = parseControlMessage(text);
        if (message.kind !== "push-reply") throw new Error(text);
        arrived.push(...message.options);
        expect(reply.add(message)).toBe(i === messages.length - 1);
      }
      expect(arrived).toEqual(options);
    }),
  );
});

test("an option without room is named", () => {
  expect(composePush(["x".repeat(2000)])).toMatch(/longer than a message may be/);
});

test("what a message may hold is counted in bytes", () => {
  const messages = composePush(Array.from({ length: 20 }, (_, i) => `dhcp-option DOMAIN-SEARCH ${"ü".repeat(40)}${i}`));
  expect(typeof messages).not.toBe("string");
  for (const message of messages) expect(Buffer.byteLength(message) + 1).toBeLessThanOrEqual(PUSH_BUNDLE);
  expect(composePush(["ü".repeat(500)])).toContain("longer than a message");
});
