/** Unix seconds as "2026-02-28 23:05 UTC", by days since 1970 to the civil calendar: the core has no Date. */
export function utc(unixSeconds: number): string {
  const days = Math.floor(unixSeconds / 86400);
  const rest = unixSeconds - days * 86400;
  // Shifted so that the year begins in March: the leap day is its last.
  const z = days + 719468;
  const era = Math.floor(z / 146097);
  const doe = z - era * 146097;
  const yoe = Math.floor((doe - Math.floor(doe / 1460) + Math.floor(doe / 36524) - Math.floor(doe / 146096)) / 365);
  const doy = doe - (365 * yoe + Math.floor(yoe / 4) - Math.floor(yoe / 100));
  const mp = Math.floor((5 * doy + 2) / 153);
  const day = doy - Math.floor((153 * mp + 2) / 5) + 1;
  const month = mp < 10 ? mp + 3 : mp - 9;
  const year = yoe + era * 400 + (month <= 2 ? 1 : 0);
  const two = (n: number): string => String(Math.floor(n)).padStart(2, "0");
  return `${year}-${two(month)}-${two(day)} ${two(rest / 3600)}:${two((rest % 3600) / 60)} UTC`;
}
