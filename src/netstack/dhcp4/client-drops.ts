/** Why the DHCP client ignores a message, with what an operator should think of it. */
import { Counters } from "../../lib/counters.ts";

export const DHCP_CLIENT_DROPS = {
  truncated: "A DHCP message that is too short.",
  "bad-hardware-type": "A DHCP message of another kind of network than Ethernet.",
  "bad-cookie": "A BOOTP message without the mark of DHCP.",
  "bad-options": "A DHCP message whose options run over its end.",
  "wrong-port": "A message to the DHCP client that does not come from a server's port.",
  "not-a-reply": "A message to the DHCP client that only a client sends.",
  "wrong-xid": "A DHCP answer to another question, or to a question of another host.",
  "wrong-client": "A DHCP answer to another host.",
  "no-type": "A DHCP answer without its type.",
  "no-server-id": "A DHCP answer that does not say whose it is.",
  "bad-address": "A DHCP answer with an address that no host can have.",
  "lan-address": "A DHCP answer with an address of the LAN's network; give the LAN another one.",
  "lan-gateway": "A DHCP answer whose gateway is of the LAN's network; give the LAN another one.",
  "wrong-server": "A DHCP answer of a server that was not asked.",
  "other-address": "A DHCP answer that would change the address of a lease; a server prolongs it or refuses.",
  unexpected: "A DHCP answer that nobody waits for: of a second server, or repeated.",
} as const;

/** Why a message was ignored. */
export type DhcpDrop = keyof typeof DHCP_CLIENT_DROPS;

const NAMES = Object.keys(DHCP_CLIENT_DROPS) as DhcpDrop[];
const INDEX: ReadonlyMap<string, number> = new Map(NAMES.map((name, i) => [name, i]));

export class DhcpClientDrops extends Counters<DhcpDrop> {
  constructor() {
    super(NAMES);
  }

  count(drop: DhcpDrop): void {
    this.bump(INDEX.get(drop) as number);
  }
}
