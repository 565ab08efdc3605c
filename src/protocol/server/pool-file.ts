/**
 * The file of ifconfig-pool-persist, as OpenVPN's pool.c writes and reads it: a line `name,IPv4,IPv6` for each name, of which one of the
 * two addresses may be empty; of net30 the first of the four. Older ones have no IPv6 column.
 */
import { IpAddress, parseIpv4, parseIpv6 } from "../../lib/ip.ts";
import { printable } from "../config/lexer.ts";
import { withLineFeeds } from "../config/line-ends.ts";
import type { ConfigProblem } from "../config/types.ts";
import { MAX_POOL, type PoolLease } from "./pool.ts";

export interface PoolFile {
  readonly leases: readonly PoolLease[];
  /** Lines that are none; what they say is lost, and nothing else. */
  readonly problems: readonly ConfigProblem[];
}

const MAX_PROBLEMS = 20;

/**
 * Never throws. A name may have commas in it: the last two columns are the addresses.
 * @param isFixed ifconfig-pool-persist with 0 seconds: nobody else gets what is named in the file
 */
export function parsePoolFile(
  { file, text }: { readonly file: string; readonly text: string },
  isFixed: boolean,
): PoolFile {
  const leases: PoolLease[] = [];
  const problems: ConfigProblem[] = [];
  const wrong = (line: number, problem: string): void => {
    if (problems.length < MAX_PROBLEMS)
      problems.push({ origin: { file, line }, directive: "ifconfig-pool-persist", problem });
  };
  for (const [i, row] of withLineFeeds(text.replace(/^\ufeff/, ""))
    .split("\n")
    .entries()) {
    const line = row.replace(/\r$/, "");
    if (line.trim() === "" || line.startsWith("#") || line.startsWith(";")) continue;
    const lease = parseLine(line);
    if (leases.length === MAX_POOL) {
      wrong(i + 1, `more than ${MAX_POOL} lines`);
      break;
    }
    if (lease === undefined) wrong(i + 1, `"${printable(line)}" is not of the form NAME,IPV4,IPV6`);
    else leases.push(isFixed ? { ...lease, isFixed } : lease);
  }
  return { leases, problems };
}

function parseLine(line: string): PoolLease | undefined {
  const columns = line.split(",");
  for (const count of [2, 1]) {
    if (columns.length <= count) continue;
    const name = columns.slice(0, -count).join(",");
    const [text4 = "", text6 = ""] = columns.slice(-count).map((column) => column.trim());
    const address = parseIpv4(text4);
    const address6 = parseIpv6(text6);
    const isWhole = (text4 === "" || address !== undefined) && (text6 === "" || address6 !== undefined);
    if (isWhole && name !== "" && (address ?? address6) !== undefined)
      return { name, address, address6, releasedAt: undefined };
  }
  return undefined;
}

/** @param isNet30 of each IPv4 address the first of its four is written */
export function formatPoolFile(leases: readonly PoolLease[], isNet30: boolean): string {
  const base = (address: IpAddress | undefined): IpAddress | undefined =>
    isNet30 && address !== undefined ? IpAddress.fromIpv4(address.w3 & ~3) : address;
  // A name that would be read back as something else is left out.
  return leases
    .map(({ name, address, address6 }) => ({ name, line: `${name},${base(address) ?? ""},${address6 ?? ""}` }))
    .filter(({ name, line }) => !/^[#;]|[\r\n]/.test(name) && parseLine(line)?.name === name)
    .map(({ line }) => `${line}\n`)
    .join("");
}
