import { expect, test } from "bun:test";
import { parseCidr } from "../../lib/cidr.ts";
import { parseIp } from "../../lib/ip.ts";
import { formatStatus, type StatusClient } from "./status.ts";

const C1: StatusClient = {
  guest: {
    name: "c1",
    isSingle: true,
    user: undefined,
    hash: undefined,
    certificateName: undefined,
    fingerprint: undefined,
    token: undefined,
    since: 1_795_925_070,
    address: parseIp("10.8.0.2"),
    address6: parseIp("fd00:8::1000"),
    networks: ["10.8.0.2/32", "fd00:8::1000/128", "192.168.77.0/24"].map((text) => parseCidr(text)!),
    options: [],
    warnings: [],
  },
  endpoint: { address: parseIp("127.0.0.1")!, port: 50221 },
  peerId: 0,
  cipher: "AES-256-GCM",
  received: 1997,
  sent: 2025,
  lastAt: 1_795_925_071,
};
const TITLE = "OpenVPN 2.6.14 x86_64-pc-linux-gnu";

/** Seen of the real openvpn 2.6.14, with the rows of its routing table, which have no order, in ours. */
const SEEN = {
  1: `OpenVPN CLIENT LIST
Updated,2026-11-29 04:04:31
Common Name,Real Address,Bytes Received,Bytes Sent,Connected Since
c1,127.0.0.1:50221,1997,2025,2026-11-29 04:04:30
ROUTING TABLE
Virtual Address,Common Name,Real Address,Last Ref
10.8.0.2,c1,127.0.0.1:50221,2026-11-29 04:04:31
fd00:8::1000,c1,127.0.0.1:50221,2026-11-29 04:04:31
192.168.77.0/24,c1,127.0.0.1:50221,2026-11-29 04:04:31
GLOBAL STATS
Max bcast/mcast queue length,0
END
`,
  2: `TITLE,${TITLE}
TIME,2026-11-29 04:04:31,1795925071
HEADER,CLIENT_LIST,Common Name,Real Address,Virtual Address,Virtual IPv6 Address,Bytes Received,Bytes Sent,Connected Since,Connected Since (time_t),Username,Client ID,Peer ID,Data Channel Cipher
CLIENT_LIST,c1,127.0.0.1:50221,10.8.0.2,fd00:8::1000,1997,2025,2026-11-29 04:04:30,1795925070,UNDEF,0,0,AES-256-GCM
HEADER,ROUTING_TABLE,Virtual Address,Common Name,Real Address,Last Ref,Last Ref (time_t)
ROUTING_TABLE,10.8.0.2,c1,127.0.0.1:50221,2026-11-29 04:04:31,1795925071
ROUTING_TABLE,fd00:8::1000,c1,127.0.0.1:50221,2026-11-29 04:04:31,1795925071
ROUTING_TABLE,192.168.77.0/24,c1,127.0.0.1:50221,2026-11-29 04:04:31,1795925071
GLOBAL_STATS,Max bcast/mcast queue length,0
GLOBAL_STATS,dco_enabled,0
END
`,
};

test("each version is as openvpn 2.6.14 writes it", () => {
  expect(formatStatus(1, TITLE, 1_795_925_071, [C1])).toBe(SEEN[1]);
  expect(formatStatus(2, TITLE, 1_795_925_071, [C1])).toBe(SEEN[2]);
  expect(formatStatus(3, TITLE, 1_795_925_071, [C1])).toBe(SEEN[2].replaceAll(",", "\t"));
});

test("nobody is in", () => {
  expect(formatStatus(1, TITLE, 0, []).split("\n").length).toBe(9);
  expect(
    formatStatus(3, TITLE, 0, [])
      .split("\n")
      .map((row) => row.split("\t")[0]),
  ).toEqual([...["TITLE", "TIME", "HEADER", "HEADER", "GLOBAL_STATS", "GLOBAL_STATS", "END", ""]]);
});

test("a user, and an IPv6 address, which stands without its port", () => {
  const guest = { ...C1.guest, user: "alice", address: undefined };
  const endpoint = { address: parseIp("2001:db8::1")!, port: 1194 };
  const row = formatStatus(2, TITLE, 0, [{ ...C1, guest, endpoint }]).split("\n")[3];
  expect(row).toStartWith("CLIENT_LIST,c1,2001:db8::1,,fd00:8::1000,");
  expect(row).toContain(",alice,0,0,");
});

test("what a client is called makes neither a column nor a row", () => {
  const guest = { ...C1.guest, name: "Doe, John\tX\nEND\u009b", user: "a,b" };
  for (const version of [1, 2, 3] as const) {
    const rows = formatStatus(version, TITLE, 0, [{ ...C1, guest }])
      .trimEnd()
      .split("\n");
    const plain = formatStatus(version, TITLE, 0, [C1]).trimEnd().split("\n");
    const columns = (row: string): number => row.split(version === 3 ? "\t" : ",").length;
    expect(rows.map(columns)).toEqual(plain.map(columns));
  }
  expect(formatStatus(2, TITLE, 0, [{ ...C1, guest }])).toContain("CLIENT_LIST,Doe_ John?X?END?,");
});
