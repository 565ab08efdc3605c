/** What outlives a restart: what of a file is believed, and how often one is written. */
import { mutationsOf } from "../mutation.ts";

export const STATE = [
  ...mutationsOf("platform/state/format.ts", [
    'if (head !== `${FORMAT} ${digest(body)}`) return "is damaged";',
    "",
    "that a damaged file is not believed",
  ]),
  ...mutationsOf(
    "platform/state/store.ts",
    ["Math.max(now + SOON, kept.paceAt)", "now + SOON", "that a file is written once a minute at most"],
    ["    kept.paceAt = now + RETRY;\n", "", "the pause after a disk has failed"],
    [" | constants.O_NOFOLLOW", "", "that nothing is written through a link"],
    ["MAX_FILE);", "1 << 30);", "the largest file that is read"],
  ),
  ...mutationsOf("appliance/state/leases.ts", [
    "const clock = Math.max(at, unix);",
    "const clock = unix;",
    "that a clock which is behind prolongs no lease",
  ]),
  ...mutationsOf("appliance/lan6.ts", [
    " || !ULA.contains(network.address)",
    "",
    "that the LAN's kept network is a local one",
  ]),
];
