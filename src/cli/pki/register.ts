/**
 * The register of an authority, a line for each certificate in the form of OpenSSL's `ca` (its man page: CA DATABASE), so that its tools
 * can go on with it:
 *
 *     V or R or E <tab> end <tab> when revoked[,reason] <tab> serial <tab> "unknown" <tab> /CN=name
 *
 * Times are YYMMDDHHMMSSZ, or with four digits of the year from 2050 on.
 */

export interface Entry {
  /** The common name. */
  readonly name: string;
  /** Hexadecimal, upper case. */
  readonly serial: string;
  readonly notAfter: Date;
  /** undefined: it counts. */
  readonly revokedAt: Date | undefined;
}

/** @throws Error "FILE:LINE: what is wrong" */
export function parseRegister(file: string, text: string): Entry[] {
  return text.split("\n").flatMap((line, index) => {
    if (line === "") return [];
    const [state, end, revoked, serial, , subject] = line.split("\t");
    const name = /^\/CN=([^/]+)$/.exec(subject ?? "")?.[1];
    const notAfter = parseTime(end ?? "");
    const revokedAt = state === "R" ? parseTime((revoked ?? "").split(",")[0] as string) : undefined;
    const isWhole = /^[VRE]$/.test(state ?? "") && /^([0-9A-F]{2})+$/.test(serial ?? "");
    if (!isWhole || name === undefined || notAfter === undefined || (state === "R" && revokedAt === undefined))
      throw new Error(`${file}:${index + 1}: not a line of a register of certificates`);
    return [{ name, serial: serial as string, notAfter, revokedAt }];
  });
}

export const formatRegister = (entries: readonly Entry[]): string =>
  entries
    .map(({ name, serial, notAfter, revokedAt }) => {
      const [state, revoked] = revokedAt === undefined ? ["V", ""] : ["R", formatTime(revokedAt)];
      return `${[state, formatTime(notAfter), revoked, serial, "unknown", `/CN=${name}`].join("\t")}\n`;
    })
    .join("");

function parseTime(text: string): Date | undefined {
  const [, year, ...rest] = /^(\d{2}|\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/.exec(text) ?? [];
  if (year === undefined) return undefined;
  const full = year.length === 4 ? year : `${Number(year) < 50 ? 20 : 19}${year}`;
  const [month, day, hour, minute, second] = rest;
  const date = new Date(`${full}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(date.getTime()) ? undefined : date;
}

function formatTime(date: Date): string {
  const digits = date.toISOString().replace(/\D/g, "").slice(0, 14);
  return `${date.getUTCFullYear() < 2050 ? digits.slice(2) : digits}Z`;
}
