import { expect, test } from "bun:test";
import { hasBit, powerPressed } from "./power.ts";

/** struct input_event: time, type, code, value. */
function event(type: number, code: number, value: number): number[] {
  const bytes = new Uint8Array(24).fill(0xa5, 0, 16);
  const view = new DataView(bytes.buffer);
  view.setUint16(16, type, true);
  view.setUint16(18, code, true);
  view.setInt32(20, value, true);
  return [...bytes];
}

test("only a press of the power key counts, wherever it is among the events", () => {
  const press = event(1, 116, 1);
  const others = [...event(1, 116, 0), ...event(1, 30, 1), ...event(0, 0, 0), ...event(4, 116, 1)];
  expect(powerPressed(new Uint8Array(press))).toBe(true);
  expect(powerPressed(new Uint8Array([...others, ...press]))).toBe(true);
  expect(powerPressed(new Uint8Array(others))).toBe(false);
  expect(powerPressed(new Uint8Array(press.slice(0, 23)))).toBe(false);
});

test("bitmaps of sysfs: the highest word first", () => {
  // /sys/class/input/event0/device/capabilities/key of an ACPI power button
  expect(hasBit("10000000000000 0\n", 116)).toBe(true);
  expect(hasBit("10000000000000 0\n", 115)).toBe(false);
  expect(hasBit("0\n", 116)).toBe(false);
  expect(hasBit("402000000 3803078f800d001 feffffdfffefffff fffffffffffffffe", 116)).toBe(true);
  expect(hasBit("", 0)).toBe(false);
});
