/** Classic BPF (linux/filter.h): the programs that decide about frames in the kernel, and what they can ask of a frame beside its bytes. */

export const LOAD_WORD = 0x20;
const AND = 0x54;
export const JUMP_EQUAL = 0x15;
export const RETURN = 0x06;

const SKF_AD = 0xfffff000;
export const FRAME_MARK = SKF_AD + 20;
const FRAME_VLAN_TAG = SKF_AD + 44;
const FRAME_VLAN_TAG_PRESENT = SKF_AD + 48;
const VLAN_ID = 0x0fff;

/** Our choice: the mark (SO_MARK) of what our packet sockets send, "morg". */
export const OWN_MARK = 0x6d6f7267;

/** Operation, jumps when true and when not, and k. */
export type Instruction = readonly [operation: number, yes: number, no: number, k: number];

/**
 * Ends with `own` for a frame that is ours, and with `other` for one of a VLAN. The kernel takes the tag out of the frame before a
 * program sees it. A tag with the VLAN 0 is only a priority, and common on access networks: the frame is an untagged one (IEEE
 * 802.1Q 6.9).
 */
export const byVlan = (own: number, other: number): readonly Instruction[] => [
  [LOAD_WORD, 0, 0, FRAME_VLAN_TAG_PRESENT],
  [JUMP_EQUAL, 3, 0, 0],
  [LOAD_WORD, 0, 0, FRAME_VLAN_TAG],
  [AND, 0, 0, VLAN_ID],
  [JUMP_EQUAL, 0, 1, 0],
  [RETURN, 0, 0, own],
  [RETURN, 0, 0, other],
];

/** struct sock_filter { u16 code; u8 jt, jf; u32 k } */
export const INSTRUCTION_BYTES = 8;

export function writeProgram(view: DataView, at: number, program: readonly Instruction[]): void {
  program.forEach(([operation, yes, no, k], i) => {
    const to = at + i * INSTRUCTION_BYTES;
    view.setUint16(to, operation, true);
    view.setUint8(to + 2, yes);
    view.setUint8(to + 3, no);
    view.setUint32(to + 4, k, true);
  });
}
