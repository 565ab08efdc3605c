/** What a person reads of a syntax error in TOML: the line where the mistake is, and the quotes that are missing. */
import type { ParseError } from "toml-eslint-parser";
import { shown } from "./values.ts";

/** The parser notices that a line ends too early at the start of the next one; a person looks for it in the line itself. */
export function syntaxLine(error: ParseError, text: string): number {
  const previous = text.split("\n")[error.lineNumber - 2];
  if (error.column !== 0 || previous === undefined) return error.lineNumber;
  const isEarlyEnd = /Unspecified|Unterminated|same line/.test(error.message) || /=\s*$/.test(previous);
  return isEarlyEnd ? error.lineNumber - 1 : error.lineNumber;
}

/** The commonest mistake: text without the quotes, or in those of a word processor. */
export function quotesHint(row: string): string {
  const [, key, value] = /^\s*([\w.-]+)\s*=\s*([^\s"'[{][^#]*)/.exec(row) ?? [];
  if (value === undefined) return "";
  const text = value.replace(/[\u201c-\u201f"]/g, "").trim();
  if (/^[+-]?[\d_.]*$/.test(text)) return "";
  if (SWITCH.test(key ?? "") || /^(true|false|yes|no|on|off)$/i.test(text)) return "; write true or false";
  return `; text stands in quotes: ${key} = ${JSON.stringify(shown(text))}`;
}

/** Keys that a word without quotes is meant to switch. */
const SWITCH = /(^|\.)(nat|internet|dhcp|enabled|commands)$/;
