/**
 * Where the files that a profile names lie. A config disk has no /etc/openvpn: of an absolute path, of Unix or of Windows, the
 * longest tail that lies beside the profile is taken: for /etc/openvpn/acme/ca.crt first etc/openvpn/acme/ca.crt, and ca.crt last.
 */

/** A file's content. A string: why it cannot be read, as the end of a sentence that begins with its name; undefined: it is not there. */
export interface ReadFile {
  (name: string): Uint8Array | string | undefined;
  /** An absolute path leads to where it says; only where nothing is there are its tails looked for. */
  readonly takesAbsolute?: boolean;
}

export interface Beside {
  /** Relative to the profile; another one than the profile has written where that is an absolute path. */
  readonly name: string;
  /** A string: why it cannot be read. */
  readonly content: Uint8Array | string;
}

/** @param name as the profile has it */
export function findBeside(readFile: ReadFile, name: string): Beside | undefined {
  const own = readFile.takesAbsolute === true && isAbsolutePath(name) ? [name] : [];
  for (const candidate of [...own, ...besideNames(name)]) {
    const content = readFile(candidate);
    if (content !== undefined) return { name: candidate, content };
  }
  return undefined;
}

/** Names under which a file may lie beside the profile, the best first. */
export function besideNames(name: string): string[] {
  if (!isAbsolutePath(name)) return name.includes("\\") ? [name, name.replaceAll("\\", "/")] : [name];
  const steps: string[] = [];
  for (const step of name.replace(/^[A-Za-z]:/, "").split(/[\\/]/)) {
    if (step === "..") steps.pop();
    else if (step !== "" && step !== ".") steps.push(step);
  }
  return steps.map((_, i) => steps.slice(i).join("/"));
}

/** Also one of Windows: C:\Users\ann\ca.crt. */
export const isAbsolutePath = (name: string): boolean => /^([A-Za-z]:)?[\\/]/.test(name);

/** The last part of a path. */
export const baseName = (name: string): string =>
  name.slice(Math.max(name.lastIndexOf("/"), name.lastIndexOf("\\")) + 1);
