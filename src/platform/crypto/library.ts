/** OpenSSL 3's shared libraries, without which nothing goes. */
import type { FFIFunction } from "bun:ffi";
import { findLibrary } from "../sys/library.ts";

/**
 * @param name a soname such as "libssl.so.3"
 * @param purpose what cannot be done without it, for the message
 * @throws Error in words when the library is in none of the usual places
 */
export function openLibrary<T>(name: string, purpose: string, symbols: Record<keyof T & string, FFIFunction>): T {
  const found = findLibrary<T>(name, symbols);
  if (typeof found !== "string") return found;
  throw new Error(`OpenSSL's ${name} is needed for ${purpose} (Debian: apt install libssl3): ${found}`);
}
