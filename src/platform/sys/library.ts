/** Where shared libraries are found: by soname first (the loader's own search), then in the folders of distributions and of the VM's image. */
import { dlopen, type FFIFunction, FFIType } from "bun:ffi";

const FOLDERS = ["", "/usr/lib/x86_64-linux-gnu/", "/usr/lib/aarch64-linux-gnu/", "/usr/lib64/", "/usr/lib/"];

/** What a function returns that returns a pointer: a plain number, and 0 for NULL, of which FFIType.ptr would make null. */
export const pointer = FFIType.u64_fast;

/**
 * @param name a soname such as "libssl.so.3"
 * @returns its functions, or why it is not there
 */
export function findLibrary<T>(name: string, symbols: Record<keyof T & string, FFIFunction>): T | string {
  const problems: string[] = [];
  for (const folder of FOLDERS) {
    try {
      return dlopen(folder + name, symbols).symbols as unknown as T;
    } catch (error) {
      problems.push(error instanceof Error ? error.message : String(error));
    }
  }
  return problems[0] as string;
}
