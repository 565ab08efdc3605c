/** What the demonstrations print: a line for each step, and a table at the end. */

const started = performance.now();
export const rows: [string, string][] = [];
export const problems: string[] = [];

export function say(text: string): void {
  console.log(`[${((performance.now() - started) / 1000).toFixed(1).padStart(6)} s] ${text}`);
}

/** The table and the verdict. @returns the exit status */
export function finish(): number {
  console.log("");
  const width = Math.max(0, ...rows.map(([title]) => title.length));
  for (const [title, figure] of rows) console.log(`  ${title.padEnd(width)}   ${figure}`);
  console.log("");
  for (const problem of problems) console.error(`demo: ${problem}`);
  console.log(problems.length === 0 ? "All of it works." : "It does not work.");
  return problems.length > 0 ? 1 : 0;
}

/** Prints the router's events while it works, a line each. */
export function followLog(read: () => string): { stop(): void } {
  let at = 0;
  const look = (): void => {
    const log = read();
    const end = log.lastIndexOf("\n") + 1;
    for (const line of log.slice(at, end).split("\n")) {
      if (/\b(link|tls|tunnel|server|peer|wan|lan|config|shutdown)\b\.?[a-z]*/.test(line))
        console.log(`             | ${shortened(line.trim(), 160)}`);
    }
    at = Math.max(at, end);
  };
  const timer = setInterval(look, 200);
  return {
    stop: () => {
      clearInterval(timer);
      look();
    },
  };
}

/** Cut between two words where it is longer. */
function shortened(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, text.lastIndexOf(" ", most - 4) + 1)}...`;
}
