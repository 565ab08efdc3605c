/** Reads the statistics that the appliance logs on SIGUSR2. */
import { type Daemon, PATIENCE } from "./process.ts";

export type Fields = Readonly<Record<string, number>>;

/** Records by part ("wan", "lan", "router", ...), fresh. */
export async function statistics(router: Daemon): Promise<Record<string, Fields>> {
  const mark = router.log().length;
  router.signal("SIGUSR2");
  if ((await router.says(/statistics\.memory .*\n/, PATIENCE, mark)) === undefined)
    throw new Error("no statistics after SIGUSR2");
  const parts: Record<string, Fields> = {};
  for (const [, part, rest] of router
    .log()
    .slice(mark)
    .matchAll(/ statistics\.(\S+)(.*)$/gm)) {
    const fields: Record<string, number> = {};
    for (const [, name, value] of rest!.matchAll(/(\S+)=(\d+)/g)) fields[name!] = Number(value);
    parts[part!] = fields;
  }
  return parts;
}

/** The sum of some fields; those that are absent are zero. */
export const sum = (fields: Fields, names: readonly string[]): number =>
  names.reduce((total, name) => total + (fields[name] ?? 0), 0);

/** The sum of the fields that start with a prefix. */
export const sumOf = (fields: Fields, prefix: string): number =>
  Object.entries(fields).reduce((total, [name, value]) => total + (name.startsWith(prefix) ? value : 0), 0);
