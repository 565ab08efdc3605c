/** The log of this process on its standard output, wherever that leads. */
import type { LogLevel, LogRecord } from "../../lib/log.ts";
import { ConsoleLog, type LogFormat } from "./console-log.ts";
import { LineSink, lineDescriptor } from "./line-sink.ts";

const STDOUT = 1;

export interface ProcessLog {
  readonly log: ConsoleLog;
  /** Where its lines wait for whoever reads them: to be attached to the loop's poller. */
  readonly sink: LineSink;
}

/** @param onRecord as of {@link ConsoleLog} */
export function openProcessLog(level: LogLevel, format: LogFormat, onRecord?: (record: LogRecord) => void): ProcessLog {
  const sink = new LineSink({
    fd: lineDescriptor(STDOUT),
    onLost: (lines) =>
      log.write("warn", "log.lost", "lines of the log were lost: whoever reads it was too slow", { lines }),
  });
  const log = new ConsoleLog({ level, format, write: (line) => sink.write(line), clock: Date.now, onRecord });
  return { log, sink };
}
