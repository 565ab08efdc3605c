/** The appliance and its loop: nothing that fails ends them. */
import { mutationsOf } from "../mutation.ts";

export const APPLIANCE = [
  ...mutationsOf(
    "platform/loop.ts",
    ["let active = true;", "let active = false;", "that after a packet that fails the loop does not sleep"],
    [
      'turns.failed(clock(), error, "ready");',
      "throw error;",
      "that a descriptor whose reading fails does not end the loop",
    ],
    ["turns.done() ? 0 :", "", "that the turn in which the end comes is the last"],
  ),
  ...mutationsOf("platform/sys/exclusive.ts", [
    "bind(fd, abstractAddress(name), what);",
    "",
    "that an interface is one router's alone",
  ]),
  ...mutationsOf(
    "appliance/appliance.ts",
    ["    if (!loaded.ok) return;\n", "", "that a reload with problems leaves the session that runs alone"],
    [
      "if (now >= this.#leaveBy) this.#done = true;",
      "if (false as boolean) this.#done = true;",
      "the end of a goodbye that fails",
    ],
    [
      "    this.#reconnectWanted = false;\n    if (this.#isLeaving) return;",
      "    this.#reconnectWanted = false;",
      "that nobody connects anew while it leaves",
    ],
    ["    this.#reconnectWanted = false;\n", "", "that a reconnect is done once"],
  ),
  ...mutationsOf(
    "tunnel/succession.ts",
    [
      "    if (!this.#isLeaving) this.#nextAt = now + NEXT_AFTER_MS;\n    if (failed === undefined) return;",
      "    if (failed === undefined) return;\n    if (!this.#isLeaving) this.#nextAt = now + NEXT_AFTER_MS;",
      "that an end of the VPN that cannot be made is made again",
    ],
    [
      "    this.#isLeaving = true;\n    this.#nextAt = NEVER;\n",
      "    this.#isLeaving = true;\n",
      "that nobody begins anew in the midst of a goodbye",
    ],
    ["    if (!this.#isLeaving) this.#nextAt", "    this.#nextAt", "that nobody follows who failed during the goodbye"],
  ),
  ...mutationsOf("appliance/link-watch.ts", [
    "        this.#events.lanUp(now);\n",
    "",
    "that another DHCP server is looked for when the LAN's link comes back",
  ]),
  ...mutationsOf(
    "appliance/settings/dhcp.ts",
    ["if (size < 1) this.#wrong(", "if (false as boolean) this.#wrong(", "a pool that ends before it begins"],
    ["else if (size > MAX_POOL)", "else if (false as boolean)", "the bound on the pool"],
    ["else if (place >= 0 && place < size)", "else if (false as boolean)", "the gateway in the pool"],
    ["if (!this.#lan.contains(address)) throw", "if (false as boolean) throw", "an address outside of the LAN"],
    ["if (this.#lan.isNetworkOrBroadcast(address))", "if (false as boolean)", "the broadcast address in the pool"],
    [
      "if (found.some((r) => r.mac.hi === mac.hi && r.mac.lo === mac.lo))",
      "if (false as boolean)",
      "a MAC that has two reservations",
    ],
    ["else if (owner !== undefined) this", "else if (false as boolean) this", "an address that is reserved twice"],
    ["if (node.value < LEASE.min || node.value > LEASE.max)", "if (false as boolean)", "the bounds on a lease"],
  ),
  ...mutationsOf(
    "appliance/settings/parse.ts",
    [
      'values.hasFailed("lan") ? withoutDhcp(withWan) : withWan',
      "withWan",
      "that leases are not given where the LAN's settings are wrong",
    ],
    [
      "withoutWan(withoutDhcp(DEFAULT_SETTINGS))",
      "withoutWan(DEFAULT_SETTINGS)",
      "that no leases are given where the settings cannot be read",
    ],
  ),
  ...mutationsOf(
    "appliance/lan-dhcp.ts",
    [
      "      if (this.#server.heard(now, word, hi, lo)) this.#host.wake();\n",
      "",
      "that ARP tells the DHCP server who has an address",
    ],
    [
      "      station: ({ hi, lo }) => lan.link.neighbors.station(hi, lo),\n",
      "",
      "that a client without an address is answered without ARP",
    ],
    ["link.probe(word);", "void link;", "that everybody is asked for an address before it is offered"],
    ["mtu: tunnelMtu() < lan.mtu ? tunnelMtu() : undefined,", "mtu: undefined,", "the tunnel's MTU for LAN hosts"],
  ),
  ...mutationsOf(
    "appliance/disk/patience.ts",
    ["if (waitedMs < DISK_PATIENCE_MS) return false;", "", "the wait for a config disk"],
    ["waitedMs >= SLOW_DISK_PATIENCE_MS || !hasEntries(hosts)", "true", "the wait for a slow config disk"],
    ["waitedMs >= SLOW_DISK_PATIENCE_MS || ", "", "the end of the wait for a slow config disk"],
  ),
  ...mutationsOf(
    "appliance/settings/parse.ts",
    ["if (toml.length > MAX_CHARACTERS)", "if (false as boolean)", "the bound on the size of appliance.toml"],
    ["if (deep !== undefined)", "if (false as boolean)", "the bound on the nesting of appliance.toml"],
  ),
  ...mutationsOf("protocol/config/beside.ts", [
    'if (step === "..") steps.pop();\n    else if (step !== "" && step !== ".") steps.push(step);',
    'if (step !== "" && step !== ".") steps.push(step);',
    "that no tail of a path leads upwards",
  ]),
  ...mutationsOf("appliance/config-source.ts", [
    "name === single ? undefined : leadsOut(folder, path)",
    "undefined",
    "that a link does not lead out of the folder",
  ]),
  ...mutationsOf("platform/sys/file.ts", [
    "if (total > max) return",
    "if (false as boolean) return",
    "the bound on what is read of a file",
  ]),
];
