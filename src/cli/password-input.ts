/** A password from whoever runs the program: typed twice at a terminal that does not show it, or one line of a pipe or file. */
import { ReadStream } from "node:tty";
import { askOn } from "../platform/sys/terminal.ts";

export type Answer =
  | { readonly ok: true; readonly password: string }
  | { readonly ok: false; readonly problem: string };

const failed = (problem: string): Answer => ({ ok: false, problem });

/** @param max bytes */
export async function askPassword(whose: string, max: number): Promise<Answer> {
  const { stdin } = process;
  if (!(stdin instanceof ReadStream)) return onlyLine(Bun.stdin.stream(), max);
  const typed = askOn(stdin);
  try {
    const first = await typed.ask(`Password of ${whose}: `);
    const second = first && (await typed.ask("The same again: "));
    if (first === undefined || second === undefined) return failed("ended before there was a password");
    return first === second ? judged(first, max) : failed("the two passwords differ");
  } finally {
    typed.close();
  }
}

/** The one line of a stream, of any end of line; two lines may be a name and a password, or a file that was not meant. */
async function onlyLine(stream: AsyncIterable<Uint8Array>, max: number): Promise<Answer> {
  const LF = 10;
  let bytes = new Uint8Array(0);
  for await (const piece of stream) {
    bytes = Uint8Array.from([...bytes, ...piece]);
    if (bytes.length > max + 2 || bytes.includes(LF)) break;
  }
  const at = bytes.indexOf(LF);
  if (at >= 0 && at < bytes.length - 1) return failed("more than one line was given: the password alone is wanted");
  const line = at < 0 ? bytes : bytes.subarray(0, at);
  try {
    return judged(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(line).replace(/\r+$/, ""), max);
  } catch {
    return failed("the password is not valid UTF-8, which is what OpenVPN clients send");
  }
}

function judged(password: string, max: number): Answer {
  if (password === "") return failed("the password is empty");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\u0000-\u001f\u007f-\u009f]/.test(password)) return failed("the password holds a control character");
  if (new TextEncoder().encode(password).length > max)
    return failed(`the password is longer than ${max} bytes, which some OpenVPN clients cut off`);
  return { ok: true, password };
}
