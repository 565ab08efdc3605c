/** Why a DHCP server ignores a message, with what an operator should think of it. */
import { Counters } from "../../lib/counters.ts";

export const DHCP_SERVER_DROPS = {
  truncated: "A DHCP message that is too short.",
  "bad-hardware-type": "A DHCP message of another kind of network than Ethernet.",
  "bad-cookie": "A BOOTP message without the mark of DHCP.",
  "bad-options": "A DHCP message whose options run over its end.",
  "not-a-request": "A message to the DHCP server that only a server sends.",
  "no-type": "A BOOTP client, or a DHCP message without its type; only DHCP is spoken.",
  "unknown-type": "A DHCP message of a type that is not served (lease queries, for instance).",
  relayed: "A DHCP message that a relay passed on; only hosts on the LAN itself are served.",
  "bad-mac": "A DHCP client with a MAC that no host can have, or with the router's own.",
  "bad-client-id": "A DHCP client identifier of more than 255 bytes.",
  looking: "A DHCP client asked while the router looked for another DHCP server; it will ask again.",
  off: "Another DHCP server answers on the LAN, so this one is silent.",
  limit: "More DHCP messages than are answered in a second: a host in a loop, or a flood with made-up MACs.",
  busy: "Too many addresses were being checked for conflicts at once; the client will ask again.",
  "pool-full": "No address of the pool was free for a DHCP client; make the pool larger or the lease shorter.",
  "other-server": "A client chose another DHCP server; find out who that is if there should be none.",
  "no-address": "A DHCP request that names no address.",
  "foreign-address": "A host asked for information under an address that is not of the LAN.",
  "not-its": "A host gave back, or refused, an address that it does not have.",
  "not-an-answer": "A message to a DHCP client that the router did not ask for.",
} as const;

export type DhcpServerDrop = keyof typeof DHCP_SERVER_DROPS;

const NAMES = Object.keys(DHCP_SERVER_DROPS) as DhcpServerDrop[];
const INDEX: ReadonlyMap<string, number> = new Map(NAMES.map((name, i) => [name, i]));

export class DhcpServerDrops extends Counters<DhcpServerDrop> {
  constructor() {
    super(NAMES);
  }

  /** Counts one more of that name, and hands it back. */
  count(drop: DhcpServerDrop): DhcpServerDrop {
    this.bump(INDEX.get(drop) as number);
    return drop;
  }
}
