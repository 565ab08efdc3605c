/** What `pki init` writes for people to read and change: the server's files, and the beginning of every client's profile. */
import { parseIp } from "../../lib/ip.ts";

export interface ServerPlace {
  /** A host name or an IP address without brackets. */
  readonly host: string;
  readonly port: number;
  readonly proto: "udp" | "tcp";
  readonly wrap: Wrap;
}

/** How control packets are wrapped: by a key of each client's own, or by one for all. */
export const WRAPS = ["tls-crypt-v2", "tls-crypt"] as const;
export type Wrap = (typeof WRAPS)[number];

const DEFAULT_PORT = 1194;
/** The server's common name, by which clients know it wherever it is. */
export const SERVER_NAME = "server";

/** "vpn.example.com", "vpn.example.com:443", "192.0.2.1", "2001:db8::1", "[2001:db8::1]:443". @returns undefined: none of these */
export function parsePlace(text: string): { host: string; port: number } | undefined {
  if (parseIp(text) !== undefined) return { host: text, port: DEFAULT_PORT };
  const [, six, name, digits] = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const port = digits === undefined ? DEFAULT_PORT : Number(digits);
  const host = six ?? name;
  if (host === undefined || port < 1 || port > 65_535) return undefined;
  const isHost =
    six === undefined
      ? parseIp(host) !== undefined || isHostName(host)
      : six.includes(":") && parseIp(six) !== undefined;
  return isHost ? { host, port } : undefined;
}

/** RFC 1123 2.1, and "_", which some networks use; a last label of digits alone would be a mistyped address. */
const isHostName = (text: string): boolean =>
  text.length <= 253 &&
  /^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/i.test(text) &&
  !/(^|\.)\d+$/.test(text);

/** Without the word, who has a client's first packet can have sessions begun with it from any address. */
const WRAPPED_KEYS = `# Clients of OpenVPN 2.5 come in over UDP without the last word only.
tls-crypt-v2 tls-crypt-v2.key force-cookie`;

export const serverConf = ({ host, port, proto, wrap }: ServerPlace): string => `# An OpenVPN server for ${host}.
port ${port}
proto ${proto === "tcp" ? "tcp-server" : "udp"}
dev tun
topology subnet
server 10.8.0.0 255.255.255.0
ca ca.crt
cert server.crt
key server.key
dh none
crl-verify crl.pem
${wrap === "tls-crypt-v2" ? WRAPPED_KEYS : `${wrap} ${wrap}.key`}
remote-cert-tls client
keepalive 10 60
${proto === "udp" ? "explicit-exit-notify 1\n" : ""}verb 3

# What clients reach through the tunnel: the LAN of appliance.toml.
push "route 192.168.50.0 255.255.255.0"
# The internet too:
;push "redirect-gateway def1"
;push "dhcp-option DNS 9.9.9.9"
# Each other:
;client-to-client
`;

export const applianceToml = (): string => `[wan]
address = "dhcp"             # or "203.0.113.5/24" with gateway = "203.0.113.1"
[lan]
address = "192.168.50.1/24"  # server.conf pushes the route to it
[server]
lan = "routed"               # "translated": where another router is the gateway of the LAN's hosts; "closed": no LAN
# users = "users.txt"        # ask for a password as well: a line of "morgana passwd NAME" for each
`;

export const clientConf = ({ host, port, proto }: ServerPlace): string => `client
dev tun
proto ${proto}
remote ${host} ${port}
resolv-retry infinite
nobind
remote-cert-tls server
verify-x509-name ${SERVER_NAME} name
${proto === "udp" ? "explicit-exit-notify 1\n" : ""}verb 3
`;

/** One whole file for a client. @param lines of {@link clientConf} @param blocks by name, in order */
export function profileText(lines: string, blocks: Readonly<Record<string, string>>): string {
  const block = ([name, text]: [string, string]): string => `<${name}>\n${text.trim()}\n</${name}>\n`;
  return `${lines.trimEnd()}\n${Object.entries(blocks).map(block).join("")}`;
}
