/**
 * A record of the log as a message of syslog (RFC 5424):
 *
 *     <30>1 2026-01-01T00:00:00.000Z morgana morgana - tunnel.up [morgana@32473 address="10.8.0.2" mtu="1500"] tunnel.up address=...
 *
 * The event is the MSGID, its fields are the structured data, for programs; the text behind is the line of the console without time
 * and level, for people and for collectors that show nothing else.
 */
import type { LogLevel, LogRecord } from "../../lib/log.ts";
import { escapeControls, recordText } from "../../platform/log/record-text.ts";

/** RFC 5424 6.2.1. */
const FACILITY_DAEMON = 3;
const SEVERITY: Readonly<Record<LogLevel, number>> = { error: 3, warn: 4, info: 6, debug: 7 };
const NIL = "-";
const APP_NAME = "morgana";
/** RFC 5424 7: a name of one's own has an enterprise number behind it. There is none of ours; this one is nobody's (RFC 5612). */
const SD_ID = "morgana@32473";
/** RFC 5424 6. */
const MOST = { hostname: 255, msgId: 32, sdName: 32 };
const BOM = "\ufeff";
const CUT = "[...]";
/** Our choice, of the whole: fields that find no room are left out, as the text has them too. */
const STRUCTURED_PART = 0.5;

const encoder = new TextEncoder();

/**
 * The message, as bytes: well formed, whatever is in the record. Control characters are escaped as on the console (RFC 5424 6.3.3, 6.4).
 * @param most bytes, at least 480 (RFC 5424 6.1); fields and text that are longer are cut, and say so
 */
export function syslogMessage(record: LogRecord, hostname: string, most: number): Uint8Array {
  const { unixMs, level, event, message, fields } = record;
  const priority = 8 * FACILITY_DAEMON + SEVERITY[level];
  const time = new Date(unixMs).toISOString();
  const names = `${printUsAscii(hostname, MOST.hostname)} ${APP_NAME} ${NIL} ${printUsAscii(event, MOST.msgId)}`;
  const head = `<${priority}>1 ${time} ${names} `;
  const structured = structuredData(record, most * STRUCTURED_PART - bytesOf(head));
  const text = recordText(event, message, fields);
  const start = `${head}${structured} ${isAscii(text) ? "" : BOM}`;
  return encoder.encode(start + cut(text, most - bytesOf(start)));
}

/** RFC 5424 6.3: one element with the fields in their order, as many as find room in so many bytes. */
function structuredData({ fields }: LogRecord, room: number): string {
  const given = Object.entries(fields).filter(([, value]) => value !== undefined);
  if (given.length === 0) return NIL;
  const params: string[] = [];
  // The frame, and the parameter that says how many are missing.
  let left = room - bytesOf(`[${SD_ID}] missing="9999"`);
  for (const [name, value] of given) {
    const param = ` ${sdName(name)}="${paramValue(String(value))}"`;
    if (bytesOf(param) > left) continue;
    left -= bytesOf(param);
    params.push(param);
  }
  const missing = given.length - params.length;
  return `[${SD_ID}${params.join("")}${missing === 0 ? "" : ` missing="${missing}"`}]`;
}

/** RFC 5424 6: PRINTUSASCII, NILVALUE where nothing is left. */
const printUsAscii = (text: string, most: number): string => text.replace(/[^!-~]/g, "?").slice(0, most) || NIL;

/** RFC 5424 6: SD-NAME. */
const sdName = (text: string): string => text.replace(/[^!-~]|["=\]]/g, "_").slice(0, MOST.sdName) || "_";

/** RFC 5424 6.3.3. */
const paramValue = (text: string): string => escapeControls(text).replace(/["\\\]]/g, "\\$&");

// biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII
const isAscii = (text: string): boolean => /^[\x00-\x7f]*$/.test(text);

const bytesOf = (text: string): number => encoder.encode(text).length;

/** No longer than so many bytes, and whole characters. */
function cut(text: string, most: number): string {
  if (bytesOf(text) <= most) return text;
  const { read } = encoder.encodeInto(text, new Uint8Array(most - CUT.length));
  return text.slice(0, read) + CUT;
}
