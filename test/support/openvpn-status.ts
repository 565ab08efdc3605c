/**
 * The status file of OpenVPN (`status FILE 1`). Preferred to SIGUSR2: while OpenVPN 2.6 works on that, a SIGTERM
 * that comes is lost.
 */
import { readFileSync } from "node:fs";

/** Bytes of data packets that a client opened, by its status file: 0 before the file is there. */
export function authReadBytes(file: string): number {
  for (let tries = 0; tries < 10_000; tries++) {
    let text: string;
    try {
      text = readFileSync(file, "utf8");
    } catch {
      return 0;
    }
    // it is written in place, line by line: what ends early is read again
    if (text.endsWith("END\n")) return Number(/^Auth read bytes,(\d+)$/m.exec(text)?.[1]);
  }
  throw new Error(`${file} is never whole`);
}
