/** Joins a session to a router's path without a dialer: its link, and the way of the tunnel's packets to a peer. */
import type { RouterPath } from "../../src/appliance/wiring/router.ts";
import { Batch } from "../../src/lib/batch.ts";
import type { Endpoint } from "../../src/lib/endpoint.ts";
import type { ClientSession } from "../../src/protocol/session/client.ts";

export const UDP4 = { overhead: 28, isStream: false } as const;

/** @param peer of the tunnel, Batch.peer @param localPort undefined: any */
export function join(path: RouterPath, session: ClientSession, remote: Endpoint, peer = 0, localPort?: number): void {
  const [opened, sealed] = [new Batch(1024), new Batch(1024)];
  const link = path.links.open(
    0,
    { protocol: "udp", remote, localPort, float: false, longest: 4096 },
    {
      opened: () => {},
      narrowed: () => {},
      unreachable() {},
      ended: () => {},
      handleRows: (now, _path, rows) => {
        opened.clear();
        session.handleBatch(now, rows, opened);
        opened.peer.fill(peer, 0, opened.count);
        path.deliver(now, opened);
      },
      looksLikeAnswer: () => false,
    },
  );
  if (typeof link === "string") throw new Error(link);
  const send = (now: number, rows: Batch): void => {
    sealed.clear();
    session.sealBatch(now, rows, sealed);
    link.send(now, 0, sealed);
  };
  path.setCarrier({ send }, peer);
}
