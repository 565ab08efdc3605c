/** A file of client-config-dir: what it says of the one client whose name it has -> values, or every problem with its line. */
import { Cidr, maskPrefix, parseCidr } from "../../lib/cidr.ts";
import { type IpAddress, parseIpv4, parseIpv6 } from "../../lib/ip.ts";
import type { ReadFile } from "./beside.ts";
import { DIRECTIVES, findDirective } from "./directives.ts";
import { type Line, lex, printable } from "./lexer.ts";
import { Reader, Report } from "./reader.ts";
import { warnOfRepeats } from "./repeats.ts";
import { pushedOption } from "./resolve-server.ts";
import { formProblem, plainLine, shownName } from "./select.ts";
import type { ClientFile, PushEdit } from "./server-types.ts";
import { perhaps } from "./spelling.ts";
import type { ConfigProblem } from "./types.ts";
import { decodeUtf8 } from "./utf8.ts";
import { IFCONFIG_IPV6_BITS } from "./values.ts";

export type ClientFileResult =
  | { readonly ok: true; readonly file: ClientFile; readonly warnings: readonly ConfigProblem[] }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[]; readonly warnings: readonly ConfigProblem[] };

/** Our choice: thousands of routes. */
const MAX_BYTES = 256 << 10;

/** Those that have an effect in such a file. */
const NAMES = DIRECTIVES.filter(({ inClientFile, support }) => inClientFile && support === "implemented")
  .map(({ name }) => name)
  .sort();

/** Never throws, whatever the file holds. */
export function parseClientFile(
  source: { readonly file: string; readonly text: string | Uint8Array },
  readFile: ReadFile,
): ClientFileResult {
  const report = new Report(source.file);
  const { text } = source;
  if (text.length > MAX_BYTES)
    report.problem(1, "file", `larger than ${MAX_BYTES >> 10} KiB, so it is no file of client-config-dir`);
  else {
    const { lines, problems } = lex(typeof text === "string" ? text : decodeUtf8(text));
    report.lookForMarks(lines);
    for (const { line, directive, problem } of problems) report.problem(line, shownName(directive), problem);
    const counted = lines.map(plainLine).filter((line) => counts(line, report));
    warnOfRepeats(counted, "server", report);
    const file = resolve(source.file, new Reader(report, readFile, counted));
    const warnings = report.warnings.list();
    if (report.problems.count === 0) return { ok: true, file, warnings };
  }
  return { ok: false, problems: report.problems.list(), warnings: report.warnings.list() };
}

function counts(line: Line & { readonly isOptional: boolean }, report: Report): boolean {
  const name = line.words[0] as string;
  const row = DIRECTIVES.find((directive) => directive.name === name && directive.inClientFile);
  if (row === undefined) {
    const isKnown = findDirective(name, "server") !== undefined;
    if (isKnown)
      report.problem(line.line, name, `cannot stand in a file of client-config-dir, which holds ${NAMES.join(", ")}`);
    else if (line.isOptional) report.warn(line.line, shownName(name), "unknown directive, ignored");
    else report.problem(line.line, shownName(name), `unknown directive${perhaps(name, NAMES)}`);
    return false;
  }
  const wrong = formProblem(line, row) ?? (row.support === "refused" ? row.text : undefined);
  if (wrong !== undefined) report.problem(line.line, name, wrong);
  return wrong === undefined && row.support === "implemented";
}

function resolve(file: string, reader: Reader): ClientFile {
  const lines = new Map<string, number>();
  for (const name of ["ifconfig-push", "ifconfig-ipv6-push"]) {
    const line = reader.last(name);
    if (line) lines.set(name, line.line);
  }
  return {
    file,
    isDisabled: reader.has("disable"),
    address: resolveAddress(reader),
    address6: resolveAddress6(reader),
    networks: resolveNetworks(reader, lines),
    push: resolvePush(reader),
    lines,
  };
}

function resolveAddress(reader: Reader): ClientFile["address"] {
  let value: ClientFile["address"];
  for (const line of reader.all("ifconfig-push")) {
    const [, localWord = "", secondWord = "", alias] = line.words;
    const [local, second] = [parseIpv4(localWord), parseIpv4(secondWord)];
    if (!local?.isHost) reader.problem(line, `"${printable(localWord)}" is no IPv4 address of a host`);
    if (second === undefined)
      reader.problem(line, `"${printable(secondWord)}" is neither a netmask nor an IPv4 address`);
    // It is for a NAT in front of the clients.
    if (alias !== undefined) reader.warn(line, "the third value, an alias, is ignored: addresses are not translated");
    if (local?.isHost && second) value = { local, second };
  }
  return value;
}

function resolveAddress6(reader: Reader): ClientFile["address6"] {
  let value: ClientFile["address6"];
  for (const line of reader.all("ifconfig-ipv6-push")) {
    const [, word = "", gatewayWord] = line.words;
    const bits = IFCONFIG_IPV6_BITS;
    const local = parseCidr(word.includes("/") ? word : `${word}/${bits.usual}`);
    const gateway: IpAddress | undefined = gatewayWord === undefined ? undefined : parseIpv6(gatewayWord);
    if (local === undefined || local.isIpv4 || !local.address.isHost)
      reader.problem(line, `"${printable(word)}" is no IPv6 address such as fd00:8::7/64`);
    else if (gatewayWord !== undefined && gateway === undefined)
      reader.problem(line, `"${printable(gatewayWord)}" is no IPv6 address`);
    else value = { local, gateway };
  }
  return value;
}

/** @param lines to which that of each network is added */
function resolveNetworks(reader: Reader, lines: Map<string, number>): Cidr[] {
  const networks = new Map<string, Cidr>();
  for (const line of reader.allOf(["iroute", "iroute-ipv6"])) {
    const network = line.words[0] === "iroute" ? ipv4Network(line) : ipv6Network(line);
    if (network === undefined) reader.problem(line, `"${printable(line.words.slice(1).join(" "))}" is no network`);
    else {
      const whole = network.network;
      if (!whole.equals(network))
        reader.warn(line, `${network.address} is in the middle of a network; ${whole} is taken`);
      networks.set(`${whole}`, whole);
      lines.set(`${whole}`, line.line);
    }
  }
  return [...networks.values()];
}

function ipv4Network({ words: [, word = "", maskWord = "255.255.255.255"] }: Line): Cidr | undefined {
  const [address, mask] = [parseIpv4(word), parseIpv4(maskWord)];
  const prefix = mask && maskPrefix(mask.w3);
  return address && prefix !== undefined ? new Cidr(address, prefix) : undefined;
}

function ipv6Network({ words: [, word = ""] }: Line): Cidr | undefined {
  const cidr = parseCidr(word.includes("/") ? word : `${word}/128`);
  return cidr?.isIpv4 === false ? cidr : undefined;
}

function resolvePush(reader: Reader): PushEdit[] {
  return reader.allOf(["push", "push-remove", "push-reset"]).flatMap((line): PushEdit[] => {
    const [name, start = ""] = line.words;
    if (name === "push-reset") return [{ kind: "reset" }];
    if (name === "push-remove") return [{ kind: "remove", start }];
    const option = pushedOption(reader, line);
    return option === undefined ? [] : [{ kind: "add", option }];
  });
}
