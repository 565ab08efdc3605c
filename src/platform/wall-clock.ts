/** Seconds since 1970 by the clock on the wall, which may be set: for dates and what others stamp, never for how long something takes. */
export const unixSeconds = (): number => Math.floor(Date.now() / 1000);
