/** wireguard-go at both ends, for comparison: the kernel of the router forwards and translates, as with openvpn. */
import { generateKeyPairSync } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Daemon, run, until } from "../test/support/world/process.ts";
import { clearKernelRouter, forwardByKernel, ROOT } from "../test/support/world/router.ts";
import { SERVER, TUNNEL, type World } from "../test/support/world/world.ts";

/** One version, so that figures of different days can be compared. */
const MODULE = "golang.zx2c4.com/wireguard@v0.0.0-20260522210424-ecfc5a8d5446";
const TOOLS = join(ROOT, "dist/tools");
const PORT = 51820;

/** A wireguard-go binary: `WIREGUARD_GO=`, one on the PATH, or built where Go is. Undefined when there is none. */
export async function findWireguard(): Promise<string | undefined> {
  const chosen = process.env["WIREGUARD_GO"];
  if (chosen !== undefined) return chosen === "" ? undefined : chosen;
  const built = join(TOOLS, "wireguard");
  const found = Bun.which("wireguard-go") ?? (existsSync(built) ? built : undefined);
  if (found !== undefined || Bun.which("go") === null) return found;
  console.error(`building wireguard-go from ${MODULE}`);
  const { code, out } = await run(["env", `GOBIN=${TOOLS}`, "go", "install", MODULE], 180);
  if (code === 0) return built;
  console.error(`no wireguard-go, so its column is missing: ${whyNot(out)}; WIREGUARD_GO= takes a binary`);
  return undefined;
}

/** What `go install` failed for, in words. */
export function whyNot(out: string): string {
  const last = out.trim().split("\n").at(-1) ?? "";
  const needs = /requires go >= ([\d.]+)/.exec(out)?.[1] ?? /module requires Go ([\d.]+)/.exec(out)?.[1];
  if (needs !== undefined) return `it needs Go ${needs} or newer, and this Go may not fetch that (GOTOOLCHAIN)`;
  if (/GOTOOLCHAIN|toolchain not available/.test(out)) return `the Go that it needs cannot be fetched (${last})`;
  if (
    /dial tcp|lookup |i\/o timeout|proxyconnect|connection refused|GOPROXY|Forbidden|404 Not Found|\(ended after/.test(
      out,
    )
  )
    return `the Go module proxy cannot be reached (${last})`;
  return last;
}

/** Both ends with fresh keys. */
export async function startWireguard(world: World, binary: string): Promise<{ router: Daemon; far: Daemon }> {
  await world.stop("server"); // it has the same tunnel network
  const [near, other] = [keyPair(), keyPair()];
  // The control sockets share one folder over all namespaces, so the interfaces need names of this run.
  const [nearName, farName] = [`wgr${process.pid}`, `wgs${process.pid}`];
  const router = world.start("router", "rt", [binary, "-f", nearName]);
  const far = world.start("wireguard-far", "net", [binary, "-f", farName]);
  await configure(farName, other.secret, near.open, "10.8.0.2/32", undefined);
  await configure(nearName, near.secret, other.open, "0.0.0.0/0", `${SERVER}:${PORT}`);
  await world.sh("net", `ip addr add ${TUNNEL}/24 dev ${farName}; ip link set ${farName} mtu 1420 up`);
  await forwardByKernel(world, nearName);
  await world.sh(
    "rt",
    `ip addr add 10.8.0.2/24 dev ${nearName}; ip link set ${nearName} mtu 1420 up; ip route replace default via ${TUNNEL}
     iptables -t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu`,
  );
  return { router, far };
}

export async function stopWireguard(world: World): Promise<void> {
  await world.stop("wireguard-far");
  await clearKernelRouter(world);
}

function keyPair(): { secret: string; open: string } {
  const { privateKey } = generateKeyPairSync("x25519");
  const { d = "", x = "" } = privateKey.export({ format: "jwk" });
  const hex = (text: string): string => Buffer.from(text, "base64url").toString("hex");
  return { secret: hex(d), open: hex(x) };
}

/** Speaks the configuration protocol of wireguard(8) to the control socket. */
async function configure(
  name: string,
  secret: string,
  peer: string,
  allowed: string,
  endpoint: string | undefined,
): Promise<void> {
  const path = `/var/run/wireguard/${name}.sock`;
  if ((await until(() => existsSync(path), 10)) === undefined) throw new Error(`wireguard-go made no ${path}`);
  const lines = [
    `private_key=${secret}`,
    `listen_port=${PORT}`,
    "replace_peers=true",
    `public_key=${peer}`,
    ...(endpoint ? [`endpoint=${endpoint}`] : []),
    `allowed_ip=${allowed}`,
  ];
  const answer = Promise.withResolvers<string>();
  const socket = await Bun.connect({
    unix: path,
    socket: { data: (_, chunk) => answer.resolve(chunk.toString()), close: () => answer.resolve("closed") },
  });
  socket.write(`set=1\n${lines.join("\n")}\n\n`);
  const text = await answer.promise;
  socket.end();
  if (!text.includes("errno=0")) throw new Error(`wireguard-go: ${name}: ${text.trim()}`);
}
