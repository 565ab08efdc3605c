/** The text with LF as the end of its lines where CR alone ends them, as Macs once wrote it. CR LF stays: its LF ends the line. */
export function withLineFeeds(text: string): string {
  return text.includes("\n") ? text : text.replaceAll("\r", "\n");
}
