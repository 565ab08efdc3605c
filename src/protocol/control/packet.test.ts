import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { DROP_CONTROL_ACKS, DROP_CONTROL_TRUNCATED, DROP_NONE } from "../drop.ts";
import { ACK_V1, CONTROL_V1, HARD_RESET_CLIENT_V2, keyIdOf, nextKeyId, opcodeOf } from "./opcode.ts";
import { type ControlPacket, controlCheck, controlEmit, controlRead, MAX_ACKS } from "./packet.ts";

const hex = (text: string): Uint8Array => Uint8Array.fromHex(text.replace(/\s/g, ""));

describe("packets of OpenVPN's test_pkt.c", () => {
  const read = (text: string): ControlPacket => {
    const bytes = hex(text);
    expect(controlCheck(bytes)).toBe(DROP_NONE);
    const packet = controlRead(bytes);
    expect(controlEmit(packet)).toEqual(bytes);
    return packet;
  };

  test("hard reset", () => {
    const packet = read("38 6891923fa3103437 00 00000000");
    expect(packet).toMatchObject({ opcode: HARD_RESET_CLIENT_V2, keyId: 0, acks: [], packetId: 0 });
    expect(packet.sessionId.toHex()).toBe("6891923fa3103437");
  });

  test("ACK", () => {
    const packet = read("28 aeb9afe1f01d79c8 01 00000000 dd85db535623b02e");
    expect(packet).toMatchObject({ opcode: ACK_V1, acks: [0], packetId: undefined });
    expect(packet.peerSessionId?.toHex()).toBe("dd85db535623b02e");
  });

  test("ACK of three", () => {
    const packet = read("28 aeb9afe1f01d79c8 03 00000000 00000001 00000002 dd85db535623b02e");
    expect(packet.acks).toEqual([0, 1, 2]);
  });

  test("control with an ACK", () => {
    const packet = read("20 7819bf2ebcd19a45 01 00000000 eafebfa4418ae31b 00000001 160301");
    expect(packet).toMatchObject({ opcode: CONTROL_V1, acks: [0], packetId: 1 });
    expect(packet.payload.toHex()).toBe("160301");
  });
});

test("what is too short or acknowledges too much is refused", () => {
  expect(controlCheck(hex("28 aeb9afe1f01d79c8 00"))).toBe(DROP_CONTROL_ACKS);
  expect(controlCheck(hex(`20 aeb9afe1f01d79c8 09 ${"00".repeat(100)}`))).toBe(DROP_CONTROL_ACKS);
  expect(controlCheck(hex("20 aeb9afe1f01d79c8 01 00000000 02"))).toBe(DROP_CONTROL_TRUNCATED);
  const whole = hex("20 7819bf2ebcd19a45 01 00000000 eafebfa4418ae31b 00000001");
  for (let len = 0; len < whole.length; len++) expect(controlCheck(whole.slice(0, len))).toBe(DROP_CONTROL_TRUNCATED);
});

test("round trip", () => {
  const id = fc.uint8Array({ minLength: 8, maxLength: 8 });
  const packets = fc.record({
    opcode: fc.constantFrom(3, 4, 5, 7, 8),
    keyId: fc.integer({ min: 0, max: 7 }),
    sessionId: id,
    acks: fc.array(fc.nat(0xffffffff), { maxLength: MAX_ACKS }),
    peer: id,
    packetId: fc.nat(0xffffffff),
    payload: fc.uint8Array({ maxLength: 100 }),
  });
  fc.assert(
    fc.property(packets, ({ peer, ...fields }) => {
      const isAck = fields.opcode === ACK_V1;
      fc.pre(!isAck || fields.acks.length > 0);
      const packet: ControlPacket = {
        ...fields,
        peerSessionId: fields.acks.length > 0 ? peer : undefined,
        packetId: isAck ? undefined : fields.packetId,
        payload: isAck ? new Uint8Array(0) : fields.payload,
      };
      const bytes = controlEmit(packet);
      expect(controlCheck(bytes)).toBe(DROP_NONE);
      expect(controlRead(bytes)).toEqual(packet);
    }),
  );
});

test("any bytes that pass the check are read without a throw", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      if (controlCheck(bytes) === DROP_NONE) controlRead(bytes);
    }),
  );
});

test("first byte, and the cycle of key ids", () => {
  expect([opcodeOf(0x38), keyIdOf(0x3d)]).toEqual([7, 5]);
  const ids = [0];
  for (let i = 0; i < 8; i++) ids.push(nextKeyId(ids.at(-1)!));
  expect(ids).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 1]);
});
