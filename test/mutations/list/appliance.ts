/** The appliance, its loop and the tun device of the kernel: nothing that fails ends them, and nothing of a tunnel stays behind. */
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
  ...mutationsOf(
    "appliance/appliance.ts",
    [
      "    this.#reviveAt = now + REVIVE_AFTER_MS;",
      "    if (this.#dialer !== undefined) this.#reviveAt = now + REVIVE_AFTER_MS;",
      "that a dialer that cannot be made is made again",
    ],
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
    "appliance/disk/patience.ts",
    ["if (waitedMs < DISK_PATIENCE_MS) return false;", "", "the wait for a config disk"],
    ["waitedMs >= SLOW_DISK_PATIENCE_MS || !hasEntries(hosts)", "true", "the wait for a slow config disk"],
    ["waitedMs >= SLOW_DISK_PATIENCE_MS || ", "", "the end of the wait for a slow config disk"],
  ),
  ...mutationsOf(
    "host/kernel-tun.ts",
    ["ignoring([EEXIST],", "ignoring([],", "that a route which is there is the tunnel's"],
    ["ignoring([ESRCH],", "ignoring([],", "that a route which is gone need not be removed"],
    ["ignoring([ENODEV, EPERM],", "ignoring([],", "that a device which may not be changed is said"],
    [
      "() => device.removeRoute(route.network, route.metric)",
      "() => {}",
      "the removal of routes that are the tunnel's no more",
    ],
    ["if (this.#routes.has(name)) continue;", "", "that a route which stays is not added again"],
    ["      this.down();\n      if (!(error", "      if (!(error", "that a refused tunnel leaves nothing behind"],
  ),
  ...mutationsOf(
    "netstack/offload/mss.ts",
    ["if (ipv4Check(d, at, len) !== Drop.None) return;", "", "the check of a packet before its MSS is clamped"],
    [" || ipv4FragmentOffset(d, at) !== 0", "", "that a later fragment has no MSS"],
  ),
];
