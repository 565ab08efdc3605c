/**
 * Who may make namespaces: root, and a plain user inside a user namespace of their own where the kernel allows that.
 * `ip netns` keeps its names in /run/netns, so the latter also gets a private /run.
 */
import { existsSync, readFileSync } from "node:fs";

const MARK = "MORGANA_USER_NAMESPACE";

/** Whether namespaces can be made right here, in this process. */
export function canMakeNamespaces(): boolean {
  return process.getuid?.() === 0;
}

/** Why a plain user cannot have a user namespace here, or undefined when it works. */
export function userNamespaceProblem(): string | undefined {
  const probe = Bun.spawnSync(["unshare", "-Urnm", "sh", "-c", `${PRIVATE_RUN} && ip netns add probe`], {
    stderr: "pipe",
  });
  if (probe.exitCode !== 0)
    return `no user namespace (${probe.stderr.toString().trim().split("\n").at(-1) ?? "unshare failed"}); run as root`;
  const tun = Bun.spawnSync(["unshare", "-Urnm", "ip", "tuntap", "add", "probe", "mode", "tun"], { stderr: "pipe" });
  if (tun.exitCode !== 0) return `no tun device in a user namespace (${tun.stderr.toString().trim()}); run as root`;
  return undefined;
}

/** The command line that runs `argv` with the right to make namespaces: itself for root. */
export function privileged(argv: readonly string[]): string[] {
  if (canMakeNamespaces()) return [...argv];
  return ["env", `${MARK}=1`, "unshare", "-Urnm", "sh", "-c", `${PRIVATE_RUN} && exec "$@"`, "sh", ...argv];
}

/** Whether this process runs in the user namespace that `privileged` made: one user id only, so nothing can change to another. */
export function inUserNamespace(): boolean {
  return process.env[MARK] === "1" || !mapsAllUsers();
}

/** For scripts: goes on where namespaces can be made; else runs the same command in a user namespace and exits with its status. */
export async function becomePrivileged(): Promise<void> {
  if (canMakeNamespaces()) return;
  const problem = userNamespaceProblem();
  if (problem !== undefined) {
    console.error(`needs network namespaces: ${problem}`);
    process.exit(1);
  }
  const child = Bun.spawn(privileged([process.execPath, ...process.argv.slice(1)]), {
    stdio: ["inherit", "inherit", "inherit"],
  });
  // The terminal sends Ctrl-C to the child as well; it cleans up, we wait for it.
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.on(signal, () => signal === "SIGTERM" && child.kill(signal));
  process.exit(await child.exited);
}

/** What must be installed for a world; the names of what is missing. */
export function missingTools(tools: readonly string[]): string[] {
  return tools.filter(
    (tool) => Bun.which(tool) === null && !["/usr/sbin", "/sbin"].some((dir) => existsSync(`${dir}/${tool}`)),
  );
}

function mapsAllUsers(): boolean {
  const map = existsSync("/proc/self/uid_map") ? readFileSync("/proc/self/uid_map", "utf8") : "";
  return /^\s*0\s+0\s+4294967295/.test(map);
}

const PRIVATE_RUN = "mount -t tmpfs none /run && mkdir -p /run/netns && export PATH=$PATH:/usr/sbin:/sbin";
