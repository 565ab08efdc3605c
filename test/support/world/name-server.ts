/** BIND behind the VPN server, in the clear and over TLS (as RESOLVER): a signed zone of its own ("example"), and nothing beyond it. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PATIENCE, until } from "./process.ts";
import { TUNNEL, type World } from "./world.ts";

const ZONE = `$TTL 300
@ SOA ns.example. root.example. 1 3600 1200 604800 60
@ NS ns
ns A 203.0.113.53
www A 203.0.113.9
www AAAA 2001:db8::9
alias CNAME www
many TXT "${"x".repeat(200)}" "${"y".repeat(200)}"
big TXT ${Array.from({ length: 8 }, (_, i) => `"${String(i).repeat(200)}"`).join(" ")}
odd TYPE65280 \\# 4 0a0b0c0d
inside A 192.168.50.2
`;
/** Names that a client which asks for many finds: h0.example to h999.example. */
export const HOSTS = 1000;

export class NameServer {
  readonly #world: World;
  readonly #dir: string;

  private constructor(world: World, dir: string) {
    this.#world = world;
    this.#dir = dir;
  }

  /** Starts it on the tunnel's address of the VPN server, which runs, and waits until the zone is signed. */
  static async start(world: World): Promise<NameServer> {
    const dir = join(world.dir, "named");
    mkdirSync(dir, { recursive: true });
    const hosts = Array.from({ length: HOSTS }, (_, i) => `h${i} A 203.0.113.${1 + (i % 250)}`).join("\n");
    writeFileSync(join(dir, "example.zone"), `${ZONE}${hosts}\n`);
    const options = [
      `directory "${dir}"; pid-file none; session-keyfile none; key-directory "${dir}"; managed-keys-directory "${dir}"`,
      `listen-on { ${TUNNEL}; }; listen-on port 853 tls resolver { ${TUNNEL}; }; listen-on-v6 { none; }; recursion yes; allow-query { any; }; allow-recursion { any; }`,
      "dnssec-validation no; empty-zones-enable no",
    ];
    const log =
      "logging { channel out { stderr; severity info; }; category queries { out; }; category default { out; }; }";
    const zone = 'zone "example" { type primary; file "example.zone"; dnssec-policy default; inline-signing yes; }';
    const tls = `tls resolver { cert-file "${world.dir}/resolver.crt"; key-file "${world.dir}/resolver.key"; }`;
    writeFileSync(
      join(dir, "named.conf"),
      `${tls};\noptions { ${options.join("; ")}; };\n${log};\n${zone};\ncontrols { };\n`,
    );
    const server = new NameServer(world, dir);
    const daemon = world.start("named", "net", ["named", "-f", "-c", join(dir, "named.conf"), "-u", "root"]);
    const signed = async (): Promise<boolean> => {
      if (!daemon.alive) throw new Error(`named ended:\n${daemon.log().slice(-2000)}`);
      const { out } = await world.in("net", ["dig", `@${TUNNEL}`, "+dnssec", "+tries=1", "+time=1", "www.example"]);
      return /RRSIG/.test(out);
    };
    if ((await until(signed, PATIENCE)) === undefined)
      throw new Error(`the zone is not signed:\n${daemon.log().slice(-2000)}`);
    return server;
  }

  /** A file of trust anchors for `delv -a`. */
  async anchors(): Promise<string> {
    const { out } = await this.#world.in("net", ["dig", `@${TUNNEL}`, "+short", "example", "DNSKEY"]);
    const keys = out.split("\n").filter((line) => line.startsWith("257 "));
    const lines = keys.map((key) => {
      const [flags, protocol, algorithm, ...base64] = key.split(" ");
      return `example. static-key ${flags} ${protocol} ${algorithm} "${base64.join("")}";`;
    });
    const path = join(this.#dir, "anchors");
    writeFileSync(path, `trust-anchors { ${lines.join("\n")} };\n`);
    return path;
  }

  /** How often it was asked for a name by others than this machine. @param how by TCP (and TLS), UDP, or either */
  questions(name: string, how: "any" | "tcp" | "udp" = "any"): number {
    const flags = { any: "", tcp: " \\S+ \\w+ \\w+ \\S*T", udp: " \\S+ \\w+ \\w+ [^ T]* " }[how];
    const pattern = new RegExp(
      `client @\\S+ 10\\.8\\.0\\.(?!1#)\\S+ \\(${name.replaceAll(".", "\\.")}\\): query:${flags}`,
      "gi",
    );
    return this.#world.daemon("named").log().match(pattern)?.length ?? 0;
  }
}

/** Whether the programs are there. */
export const canServeNames = (): boolean =>
  ["named", "dig", "delv", "dnsperf"].every((tool) =>
    Bun.which(tool, { PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` }),
  );
