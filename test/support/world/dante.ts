/** A real SOCKS proxy with a relay for datagrams on the WAN's gateway. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { PATIENCE } from "./process.ts";
import { WAN_GATEWAY, type World } from "./world.ts";

export const DANTE_PORT = 1080;

/** @param external where its datagrams and connections leave, and its relay is */
export async function startDante(world: World, external = WAN_GATEWAY): Promise<void> {
  const conf = join(world.dir, "danted.conf");
  const lines = [
    "errorlog: stderr",
    "logoutput: stderr",
    `internal: ${WAN_GATEWAY} port = ${DANTE_PORT}`,
    `external: ${external}`,
    "clientmethod: none",
    "socksmethod: none",
    "user.privileged: root",
    "user.unprivileged: root",
    "client pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }",
    "socks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 command: connect udpassociate udpreply }",
  ];
  writeFileSync(conf, `${lines.join("\n")}\n`);
  const dante = world.start("dante", "net", ["danted", "-f", conf]);
  if ((await dante.says(/running/, PATIENCE)) === undefined) throw new Error(`danted did not start: ${dante.log()}`);
}
