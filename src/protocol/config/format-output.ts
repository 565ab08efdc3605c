/** Lines and blocks of an OpenVPN file that is written. */
import { quoteWord } from "./lexer.ts";
import type { Material } from "./types.ts";
import { decodeUtf8 } from "./utf8.ts";

export class Output {
  text = "";

  line(...words: (string | number)[]): void {
    this.text += `${words.map((word) => quoteWord(String(word))).join(" ")}\n`;
  }

  flag(name: string, isSet: boolean): void {
    if (isSet) this.line(name);
  }

  /** A directive with one value, left out where there is none. */
  value(name: string, value: string | number | undefined): void {
    if (value !== undefined) this.line(name, value);
  }

  block(tag: string, content: string): void {
    this.text += `<${tag}>\n${content}</${tag}>\n`;
  }

  material(tag: string, material: Material | undefined): void {
    if (material) this.block(tag, decodeUtf8(material.bytes));
  }
}
