/** Questions to whoever sits at a terminal. */
import type { ReadStream } from "node:tty";

export interface Questions {
  /**
   * Asks on stderr, since stdout is for results. @param isShown whether what is typed is to be seen
   * @returns undefined: the person gave up
   */
  ask(question: string, isShown?: boolean): Promise<string | undefined>;
  /** The terminal is as it was. */
  close(): void;
}

const [CTRL_C, CTRL_D, BACKSPACE, CTRL_U, DELETE] = ["\x03", "\x04", "\b", "\x15", "\x7f"];

export function askOn(terminal: ReadStream): Questions {
  terminal.setRawMode(true).setEncoding("utf8");
  const keys: string[] = [];
  let wake = (): void => {};
  let isOver = false;
  const onData = (piece: string): void => {
    keys.push(...piece);
    wake();
  };
  const onEnd = (): void => {
    isOver = true;
    wake();
  };
  terminal.on("data", onData).on("end", onEnd);
  return {
    async ask(question, isShown = false) {
      process.stderr.write(question);
      const line: string[] = [];
      for (;;) {
        while (keys.length === 0 && !isOver) await new Promise<void>((resolve) => (wake = resolve));
        const key = keys.shift();
        const gaveUp = key === undefined || key === CTRL_C || (key === CTRL_D && line.length === 0);
        if (gaveUp || key === "\r" || key === "\n") {
          process.stderr.write("\n");
          return gaveUp ? undefined : line.join("");
        }
        const before = line.length;
        if (key === BACKSPACE || key === DELETE) line.pop();
        else if (key === CTRL_U) line.length = 0;
        else line.push(key);
        if (isShown) process.stderr.write(line.length > before ? key : "\b \b".repeat(before - line.length));
      }
    },
    close() {
      terminal.off("data", onData).off("end", onEnd).setRawMode(false);
      terminal.pause();
      terminal.unref();
    },
  };
}
