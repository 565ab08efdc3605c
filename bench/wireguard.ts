/** wireguard-go at both ends, for comparison: the kernel of the router forwards and translates, as with openvpn. */
import { generateKeyPairSync } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Daemon, run, until } from "../test/support/world/process.ts";
import { ROOT } from "../test/support/world/router.ts";
import { GATEWAY, SERVER, TUNNEL, type World } from "../test/support/world/world.ts";

const MODULE = "golang.zx2c4.com/wireguard@latest";
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
  console.error(`no wireguard-go: ${out.trim().split("\n").at(-1)}`);
  return undefined;
}

/** Both ends with fresh keys; the process of the router's end. */
export async function startWireguard(world: World, binary: string): Promise<Daemon> {
  await world.stop("server"); // it has the same tunnel network
  const [near, far] = [keyPair(), keyPair()];
  // The control sockets share one folder over all namespaces, so the interfaces need names of this run.
  const [nearName, farName] = [`wgr${process.pid}`, `wgs${process.pid}`];
  const router = world.start("router", "rt", [binary, "-f", nearName]);
  world.start("wireguard-far", "net", [binary, "-f", farName]);
  await configure(farName, far.secret, near.open, "10.8.0.2/32", undefined);
  await configure(nearName, near.secret, far.open, "0.0.0.0/0", `${SERVER}:${PORT}`);
  await world.sh("net", `ip addr add ${TUNNEL}/24 dev ${farName}; ip link set ${farName} mtu 1420 up`);
  await world.sh(
    "rt",
    `ip addr replace 203.0.113.50/24 dev w0; ip addr replace ${GATEWAY}/24 dev l1; echo 1 > /proc/sys/net/ipv4/ip_forward
     ip addr add 10.8.0.2/24 dev ${nearName}; ip link set ${nearName} mtu 1420 up; ip route replace default via ${TUNNEL}
     nft add table ip mg; nft flush table ip mg
     nft 'add chain ip mg post { type nat hook postrouting priority 100; }'; nft add rule ip mg post oifname ${nearName} masquerade
     nft 'add chain ip mg clamp { type filter hook forward priority 0; }'
     nft add rule ip mg clamp tcp flags syn tcp option maxseg size set rt mtu`,
  );
  return router;
}

export async function stopWireguard(world: World): Promise<void> {
  await world.stop("router");
  await world.stop("wireguard-far");
  await world.sh(
    "rt",
    "ip addr flush dev w0; ip addr flush dev l1; echo 0 > /proc/sys/net/ipv4/ip_forward; nft delete table ip mg",
  );
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
