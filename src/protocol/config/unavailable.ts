/** What lines of the tunnel, of the profile or pushed, ask for that this version does not have: DNS over HTTPS. */
const TEXT = "DNS over HTTPS is not available; the server is not asked";

/** @returns which line is the first that asks for it, and a sentence; undefined: none does */
export function unavailable(
  lines: readonly (readonly string[])[],
): { readonly index: number; readonly text: string } | undefined {
  const index = lines.findIndex(
    ([name, , , property, transport]) => name === "dns" && property === "transport" && transport === "DoH",
  );
  return index < 0 ? undefined : { index, text: TEXT };
}
