/**
 * What a person can do to the machine itself: the ACPI power button and Ctrl-Alt-Del switch it off, a key on the console
 * asks for statistics.
 */
import { readdirSync, readFileSync } from "node:fs";
import type { Log } from "../../lib/log.ts";
import { monotonic } from "../../platform/loop.ts";
import { O_CLOEXEC, O_NONBLOCK, O_RDONLY, O_RDWR, POLLIN } from "../../platform/sys/constants.ts";
import { EAGAIN, EINTR, SysError } from "../../platform/sys/errno.ts";
import type { Poller } from "../../platform/sys/poller.ts";
import { close, ioctlStruct, open, RB_DISABLE_CAD, read, reboot } from "../../platform/sys/syscalls.ts";

/** struct input_event of 64-bit kernels: time (16 bytes), type u16, code u16, value i32 (linux/input.h). */
const INPUT_EVENT_BYTES = 24;
const EV_KEY = 1;
const KEY_POWER = 116;
const PRESSED = 1;

/** struct termios of the kernel (asm-generic/termbits.h): four flag words, line discipline, 19 control characters. */
const TCGETS = 0x5401;
const TCSETS = 0x5402;
const TERMIOS_BYTES = 36;
const TERMIOS_IFLAG = 0;
const TERMIOS_LFLAG = 12;
const TERMIOS_CC = 17;
const IXON = 0x400;
const IXOFF = 0x1000;
const ICANON = 2;
const ECHO = 8;
const ISIG = 1;
const VTIME = 5;
const VMIN = 6;

const O_NOCTTY = 0x100;
/** A far end that echoes takes each line that it is sent for more keys. */
const STATISTICS_EVERY_MS = 1000;

export interface PowerEvents {
  /** @param cause "power button" or "Ctrl-Alt-Del" */
  leave(cause: string): void;
  statistics(): void;
}

export class Power {
  readonly #poller: Poller;
  readonly #log: Log;
  readonly #events: PowerEvents;
  readonly #buttons = new Map<string, { readonly fd: number; readonly bit: number }>();
  #statisticsAt = Number.NEGATIVE_INFINITY;
  #console: { readonly fd: number; readonly bit: number } | undefined;
  readonly #buffer = new Uint8Array(64 * INPUT_EVENT_BYTES);

  constructor(poller: Poller, log: Log, events: PowerEvents) {
    this.#poller = poller;
    this.#log = log;
    this.#events = events;
  }

  /** Has Ctrl-Alt-Del sent to PID 1 as SIGINT, and listens to the console. */
  start(): void {
    try {
      reboot(RB_DISABLE_CAD);
    } catch (error) {
      this.#log.write("warn", "power.ctrl-alt-del", `Ctrl-Alt-Del will reset the machine: ${(error as Error).message}`);
    }
    process.on("SIGINT", () => this.#events.leave("Ctrl-Alt-Del"));
    process.on("SIGTERM", () => this.#events.leave("SIGTERM"));
    try {
      const fd = openConsole();
      this.#console = { fd, bit: this.#poller.add(fd) };
    } catch (error) {
      this.#log.write("debug", "power.console", `no keys from the console: ${(error as Error).message}`);
    }
  }

  /** Opens power buttons that are new. Drivers may find theirs a little later. @returns how many there are */
  lookForButtons(): number {
    for (const name of buttonDevices()) {
      if (this.#buttons.has(name)) continue;
      try {
        const fd = open(`/dev/input/${name}`, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        this.#buttons.set(name, { fd, bit: this.#poller.add(fd) });
      } catch (error) {
        this.#log.write("warn", "power.button", (error as Error).message);
      }
    }
    return this.#buttons.size;
  }

  /** @param bits of Poller.wait */
  onReady(bits: number): void {
    if (this.#console !== undefined && (bits & this.#console.bit) !== 0) this.#readConsole(this.#console);
    for (const [name, button] of this.#buttons) if ((bits & button.bit) !== 0) this.#readButton(name, button);
  }

  #readConsole(console: { readonly fd: number; readonly bit: number }): void {
    const got = this.#read(console.fd);
    if (got > 0) this.#askForStatistics();
    // Hung up or closed: it would be ready for ever.
    else if (got < 0 || (this.#poller.events(console.bit) & POLLIN) === 0) {
      this.#poller.remove(console.bit);
      close(console.fd);
      this.#console = undefined;
    }
  }

  #askForStatistics(): void {
    const now = monotonic();
    if (now < this.#statisticsAt + STATISTICS_EVERY_MS) return;
    this.#statisticsAt = now;
    this.#events.statistics();
  }

  #readButton(name: string, button: { readonly fd: number; readonly bit: number }): void {
    const got = this.#read(button.fd);
    if (got <= 0) {
      if (got === 0 && (this.#poller.events(button.bit) & POLLIN) !== 0) return;
      this.#poller.remove(button.bit);
      close(button.fd);
      this.#buttons.delete(name);
    } else if (powerPressed(this.#buffer.subarray(0, got))) this.#events.leave("power button");
  }

  /** Bytes into the buffer; 0: nothing there; -1: never again. */
  #read(fd: number): number {
    try {
      return read(fd, this.#buffer);
    } catch (error) {
      return error instanceof SysError && (error.errno === EAGAIN || error.errno === EINTR) ? 0 : -1;
    }
  }
}

/** Whether the events hold a press of the power key. @param events whole struct input_event */
export function powerPressed(events: Uint8Array): boolean {
  const view = new DataView(events.buffer, events.byteOffset, events.byteLength);
  for (let at = 0; at + INPUT_EVENT_BYTES <= events.length; at += INPUT_EVENT_BYTES) {
    const isPower = view.getUint16(at + 16, true) === EV_KEY && view.getUint16(at + 18, true) === KEY_POWER;
    if (isPower && view.getInt32(at + 20, true) === PRESSED) return true;
  }
  return false;
}

/** Whether a bitmap of sysfs (64-bit hexadecimal words, the highest first) has a bit. */
export function hasBit(bitmap: string, bit: number): boolean {
  const word =
    bitmap
      .trim()
      .split(/\s+/)
      .at(-1 - Math.floor(bit / 64)) ?? "";
  return /^[0-9a-f]{1,16}$/.test(word) && ((BigInt(`0x${word}`) >> BigInt(bit % 64)) & 1n) === 1n;
}

/** Input devices that have a power key: the others would only wake us. */
function buttonDevices(): string[] {
  try {
    return readdirSync("/dev/input").filter((name) => {
      if (!/^event\d+$/.test(name)) return false;
      try {
        return hasBit(readFileSync(`/sys/class/input/${name}/device/capabilities/key`, "latin1"), KEY_POWER);
      } catch {
        return false;
      }
    });
  } catch {
    // no input devices at all
    return [];
  }
}

/**
 * One key suffices: no line editing, no echo, no signals; a read returns what is there. Ctrl-S is a key as well: else it, or
 * the same byte out of a noisy line, would stop what is written to the console until somebody types Ctrl-Q.
 */
function openConsole(): number {
  // A description of its own: non-blocking would else also hold for what is written to the console.
  const fd = open("/dev/console", O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  try {
    const termios = new Uint8Array(TERMIOS_BYTES);
    ioctlStruct(fd, TCGETS, termios, "/dev/console");
    const view = new DataView(termios.buffer);
    view.setUint32(TERMIOS_IFLAG, view.getUint32(TERMIOS_IFLAG, true) & ~(IXON | IXOFF), true);
    view.setUint32(TERMIOS_LFLAG, view.getUint32(TERMIOS_LFLAG, true) & ~(ICANON | ECHO | ISIG), true);
    view.setUint8(TERMIOS_CC + VMIN, 0);
    view.setUint8(TERMIOS_CC + VTIME, 0);
    ioctlStruct(fd, TCSETS, termios, "/dev/console");
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}
