/** An entrance with everything at hand, for tests. */
import { parseCidr } from "../../../lib/cidr.ts";
import { type IpAddress, parseIp } from "../../../lib/ip.ts";
import { seededRandom } from "../../../lib/random.ts";
import type { ClientFile, EntryConfig, ServerNetworkConfig } from "../../config/server-types.ts";
import { noblePrimitives } from "../../control/noble-primitives.ts";
import type { ClientLogin } from "../../session/server.ts";
import { Entrance, type EntranceSetup } from "../entrance.ts";
import type { AskPassword } from "../entry.ts";

export const NOW = 1_700_000_000;
export const ALICE_HASH = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$of-alice";

const ENTRY: EntryConfig = {
  clientCert: "require",
  usernameAsCommonName: false,
  passwordOptional: false,
  token: undefined,
  duplicateNames: false,
  clientFolder: { name: "ccd", origin: { file: "server.conf", line: 1 } },
  clientFileNeeded: false,
  origins: {},
};

/** What `server 10.8.0.0 255.255.255.0` stands for. */
const NETWORK: ServerNetworkConfig = {
  topology: "subnet",
  address: parseCidr("10.8.0.1/24"),
  pool: { first: parseIp("10.8.0.2")!, last: parseIp("10.8.0.254")! },
  address6: undefined,
  pool6: undefined,
  persist: undefined,
  routes: [],
  push: [],
};

export interface SetupParts extends Partial<Omit<EntranceSetup, "config">> {
  readonly entry?: Partial<EntryConfig>;
  readonly network?: Partial<ServerNetworkConfig>;
  readonly push?: readonly string[];
  readonly maxRoutesPerClient?: number;
}

export const PUSH = ["route-gateway 10.8.0.1", "topology subnet", "ping 10", "ping-restart 60"];

export const setup = (parts: SetupParts): EntranceSetup => ({
  config: {
    entry: { ...ENTRY, ...parts.entry },
    network: { ...NETWORK, ...parts.network },
    limits: { maxRoutesPerClient: parts.maxRoutesPerClient ?? 256 },
    push: parts.push ?? PUSH,
    pushTimers: [],
    verify: { usernameFields: ["CN"] },
  },
  clients: parts.clients ?? new Map(),
  users: parts.users,
  lan: parts.lan ?? [],
});

export const entranceOf = (of: EntranceSetup): Entrance =>
  new Entrance(of, {
    primitives: noblePrimitives,
    random: seededRandom(7),
    tokenKey: new Uint8Array(32).fill(3),
  });

export const login = (parts: Partial<ClientLogin>): ClientLogin => ({
  user: undefined,
  password: undefined,
  peerInfo: undefined,
  certificates: [],
  ...parts,
});

/** The question that a login comes to. */
export function identityOf(entrance: Entrance, shown: ClientLogin, from: IpAddress): AskPassword {
  const judged = entrance.judge(NOW, shown, undefined, from);
  if (judged.kind !== "password") throw new Error(`no password is asked for: ${JSON.stringify(judged)}`);
  return judged;
}

/** An entry of the map of client-config-dir. */
export const file = (name: string, parts: Partial<ClientFile> = {}): [string, ClientFile] => [
  name,
  {
    file: `ccd/${name}`,
    isDisabled: false,
    address: undefined,
    address6: undefined,
    networks: [],
    push: [],
    lines: new Map(),
    ...parts,
  },
];
