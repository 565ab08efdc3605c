/** A reader of syslog messages (RFC 5424 6), written from the grammar there and strict in all of it. */
export interface SyslogMessage {
  readonly facility: number;
  readonly severity: number;
  readonly time: string | undefined;
  readonly hostname: string | undefined;
  readonly appName: string | undefined;
  readonly procId: string | undefined;
  readonly msgId: string | undefined;
  readonly elements: readonly {
    readonly id: string;
    readonly params: readonly (readonly [name: string, value: string])[];
  }[];
  /** undefined: there is none. Without its BOM. */
  readonly text: string | undefined;
  readonly hasBom: boolean;
}

const BOM = "\ufeff";
const HEADER =
  /^<(0|[1-9][0-9]{0,2})>1 (-|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)) ([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) /;
const SD_NAME = /[!#-<>-\\^-~]{1,32}/y;

/** @throws Error where the bytes are no message */
export function readSyslog(bytes: Uint8Array): SyslogMessage {
  const whole = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  const header = HEADER.exec(whole);
  if (header === null) throw new Error(`no header: ${whole}`);
  const priority = Number(header[1]);
  if (priority > 191) throw new Error(`PRI ${priority}`);
  let at = header[0].length;
  const take = (wanted: string): void => {
    if (!whole.startsWith(wanted, at)) throw new Error(`no ${wanted} at ${at}: ${whole}`);
    at += wanted.length;
  };
  const name = (): string => {
    SD_NAME.lastIndex = at;
    const found = SD_NAME.exec(whole)?.[0];
    if (found === undefined) throw new Error(`no name at ${at}: ${whole}`);
    at += found.length;
    return found;
  };
  const value = (): string => {
    let text = "";
    for (; whole[at] !== '"'; at++) {
      if (at >= whole.length || whole[at] === "]") throw new Error(`a value has no end: ${whole}`);
      if (whole[at] === "\\" && /["\\\]]/.test(whole[at + 1] ?? "")) at++;
      text += whole[at];
    }
    return text;
  };
  const elements: { id: string; params: [string, string][] }[] = [];
  if (whole[at] === "-") at++;
  else {
    do {
      take("[");
      const element = { id: name(), params: [] as [string, string][] };
      while (whole[at] === " ") {
        at++;
        const param = name();
        take('="');
        element.params.push([param, value()]);
        take('"');
      }
      take("]");
      elements.push(element);
    } while (whole[at] === "[");
  }
  let text: string | undefined;
  if (at < whole.length) {
    take(" ");
    text = whole.slice(at);
  }
  const or = (field: string | undefined): string | undefined => (field === "-" ? undefined : field);
  const hasBom = text?.startsWith(BOM) === true;
  return {
    facility: priority >> 3,
    severity: priority & 7,
    time: or(header[2]),
    hostname: or(header[3]),
    appName: or(header[4]),
    procId: or(header[5]),
    msgId: or(header[6]),
    elements,
    text: hasBom ? text?.slice(1) : text,
    hasBom,
  };
}
