/** Where LinuxKit is: the path in LINUXKIT (empty: do not use any), else on the PATH, else undefined. @throws on a wrong path */
import { existsSync } from "node:fs";

export function linuxkit(): string | undefined {
  const given = process.env["LINUXKIT"];
  if (given === undefined) return Bun.which("linuxkit") ?? undefined;
  if (given === "") return undefined;
  if (!existsSync(given)) throw new Error(`LINUXKIT=${given}: there is no such file`);
  return given;
}
