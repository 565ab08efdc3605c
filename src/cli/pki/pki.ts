/** `morgana pki`: an authority, a server and clients of one VPN, in files. */
import { join } from "node:path";
import { openConfigSource } from "../../appliance/config-source.ts";
import { loadProfile } from "../../appliance/profile.ts";
import { parseIp } from "../../lib/ip.ts";
import { Authority } from "../../platform/crypto/authority.ts";
import { systemRandom } from "../../platform/crypto/random.ts";
import { oneLine } from "../../protocol/config/lexer.ts";
import {
  newClientKey,
  newNamedKey,
  newStaticKey,
  parseNamedKey,
  timestampMetadata,
} from "../../protocol/control/key-file.ts";
import { noblePrimitives } from "../../protocol/control/noble-primitives.ts";
import { DEFAULT_FILE, NOBODY } from "../../protocol/server/reserved-names.ts";
import { readArguments } from "../arguments.ts";
import { usageError } from "../help.ts";
import { DISK, KEPT, type NewText, PkiFolder, write } from "./folder.ts";
import { type Entry, formatRegister } from "./register.ts";
import {
  applianceToml,
  clientConf,
  parsePlace,
  profileText,
  SERVER_NAME,
  type ServerPlace,
  serverConf,
  WRAPS,
  type Wrap,
} from "./texts.ts";

const HELP = `usage: morgana pki init DIR --server HOST[:PORT] [--proto udp|tcp] [--wrap tls-crypt-v2|tls-crypt]
       morgana pki client DIR NAME
       morgana pki revoke DIR NAME
       morgana pki list DIR

  init    makes DIR, the config disk of a new VPN server as it is (server.conf, appliance.toml, certificates and keys),
          and DIR-ca beside it, which never goes on that disk: the authority's private key, the register of
          certificates, and client.conf, the lines with which every client's profile begins (change both .conf freely).
          HOST[:PORT] is where clients find the server (port 1194, over UDP, unless told). Who has no key by which
          packets are wrapped gets no answer: with tls-crypt-v2 every client has its own, which OpenVPN 2.6 and later
          knows (2.5 too where server.conf says so); with tls-crypt one is for all, for clients of 2.4 too.
  client  makes DIR-ca/NAME.ovpn, all that this client needs: give it to NAME and to nobody else. The server's disk stays
          as it is. Where [server] users in appliance.toml names users, it asks for user and password as well.
  revoke  takes back what NAME has, in DIR/crl.pem: the server refuses NAME once it has the new file.
  list    names, serial numbers, when they end, and which are revoked.

Exit status: 0; 1 it could not be done; 2 wrong usage.
`;

/** @returns the exit status */
export async function pki(argv: string[]): Promise<number> {
  const usage = (problem: string): number => usageError("pki", problem);
  const read = readArguments("pki", argv, HELP, {
    server: { type: "string" },
    proto: { type: "string" },
    wrap: { type: "string" },
  });
  if (typeof read === "number") return read;
  const { values, words } = read;
  const [verb, dir, name, ...more] = words;
  const isNamed = verb === "client" || verb === "revoke";
  if (!isNamed && verb !== "init" && verb !== "list")
    return usage(verb === undefined ? "one of init, client, revoke, list is needed" : `no command "${oneLine(verb)}"`);
  if (dir === undefined || dir === "") return usage(`${verb} needs DIR`);
  if (isNamed ? name === undefined || more.length > 0 : name !== undefined)
    return usage(isNamed ? `${verb} needs DIR and one NAME` : `${verb} needs DIR alone`);
  if (verb !== "init" && (values.server ?? values.proto ?? values.wrap) !== undefined)
    return usage("--server, --proto and --wrap are for init");
  if (name === SERVER_NAME) return usage(`"${SERVER_NAME}" is the server's own name`);
  if (name !== undefined && !/^[A-Za-z0-9_][A-Za-z0-9._@-]{0,63}$/.test(name))
    return usage("NAME is at most 64 letters, digits and ._@-, and begins with none of .@-");
  if (name === NOBODY || name === DEFAULT_FILE)
    return usage(
      `"${name}" is OpenVPN's word for clients without a name or a file of their own: nobody can be called so`,
    );
  let run: () => Promise<string>;
  if (verb === "init") {
    const { server, proto = "udp" } = values;
    const place = server === undefined ? undefined : parsePlace(server);
    if (server === undefined) return usage("init needs --server, where clients find the server");
    if (place === undefined)
      return usage(`--server: "${oneLine(server)}" is no HOST[:PORT]; of IPv6 it is [ADDRESS]:PORT`);
    if (proto !== "udp" && proto !== "tcp") return usage("--proto is udp or tcp");
    const wrap = WRAPS.find((each) => each === (values.wrap ?? WRAPS[0]));
    if (wrap === undefined) return usage(`--wrap is ${WRAPS.join(" or ")}`);
    run = () => init(new PkiFolder(dir), { ...place, proto, wrap });
  } else if (verb === "list") run = async () => list(PkiFolder.open(dir));
  else {
    const change = verb === "client" ? client : revoke;
    run = async () => {
      const folder = PkiFolder.open(dir);
      return folder.alone(() => change(folder, name as string));
    };
  }
  try {
    process.stdout.write(await run());
    return 0;
  } catch (error) {
    process.stderr.write(`morgana: pki: ${oneLine((error as Error).message)}\n`);
    return 1;
  }
}

async function init(folder: PkiFolder, place: ServerPlace): Promise<string> {
  const now = Date.now();
  const { authority, certificate, key } = await Authority.create(now);
  const type = parseIp(place.host) === undefined ? "dns" : "ip";
  const server = await authority.server(now, SERVER_NAME, { type, value: place.host });
  const { serial, notAfter } = server;
  const register = formatRegister([{ name: SERVER_NAME, serial, notAfter, revokedAt: undefined }]);
  const file = (path: string, name: string, text: string, isSecret = false): NewText => ({
    path: join(path, name),
    text,
    isSecret,
  });
  const { kept, disk } = folder;
  folder.fill([
    file(kept, KEPT.key, key, true),
    file(kept, KEPT.ca, certificate),
    file(kept, KEPT.register, register),
    file(kept, KEPT.lines, clientConf(place)),
    file(disk, DISK.ca, certificate),
    file(disk, DISK.cert, server.certificate),
    file(disk, DISK.key, server.key, true),
    file(disk, DISK.crl, await authority.revocationList(now, [])),
    file(disk, `${place.wrap}.key`, newWrapping(place.wrap), true),
    file(disk, DISK.settings, applianceToml()),
    file(disk, DISK.profile, serverConf(place)),
  ]);
  return `wrote ${disk}, the server's config disk (look at ${DISK.settings}), and ${kept}, which never goes on it: keep it in a safe place
next, for each client: morgana pki client ${quoted(disk)} NAME
then: ${diskCommand(disk)}   (or morgana appliance --config ${quoted(disk)} ...)
`;
}

const newWrapping = (wrap: Wrap): string =>
  wrap === "tls-crypt" ? newStaticKey(systemRandom) : newNamedKey(systemRandom, "tls-crypt-v2-server");

async function client(folder: PkiFolder, name: string): Promise<string> {
  const now = Date.now();
  const register = folder.register();
  const counts = register.find((entry) => entry.name === name && stateOf(entry, now) === "valid");
  if (counts !== undefined)
    throw new Error(
      `${name} has a certificate, until ${day(counts.notAfter)}: revoke it first, or choose another name`,
    );
  const authority = await folder.authority();
  const { wrap, text: wrapping } = folder.wrapping();
  const clientKey = (): string => {
    const serverKey = parseNamedKey("tls-crypt-v2-server", wrapping);
    if (typeof serverKey === "string") throw new Error(`${join(folder.disk, `${wrap}.key`)} ${serverKey}`);
    return newClientKey(systemRandom, noblePrimitives, serverKey, timestampMetadata(Math.floor(now / 1000)));
  };
  const ca = folder.read(folder.kept, KEPT.ca);
  const lines = linesOf(folder);
  const { certificate: cert, key, serial, notAfter } = await authority.client(now, name);
  const text = profileText(lines, { ca, cert, key, [wrap]: wrap === "tls-crypt" ? wrapping : clientKey() });
  const path = join(folder.kept, `${name}.ovpn`);
  // Known first, given afterwards: what nobody has may be in the register, and nothing is out that is not.
  folder.writeRegister([...register, { name, serial, notAfter, revokedAt: undefined }]);
  try {
    write(
      { path, text, isSecret: true },
      register.some((entry) => entry.name === name),
    );
  } catch (error) {
    folder.writeRegister(register);
    throw error;
  }
  return `wrote ${path}, good until ${day(notAfter)}: whoever has it comes in, so give it to ${name} alone
next: ${name} opens it with a client of OpenVPN ${wrap === "tls-crypt" ? "2.4" : "2.6"} or later
the server's disk stays as it is
`;
}

/** The beginning of a profile; where the server asks for a login, so does the client, also while the server's files have problems. */
function linesOf(folder: PkiFolder): string {
  const lines = folder.read(folder.kept, KEPT.lines);
  const { settings } = loadProfile(openConfigSource(folder.disk).reader);
  const isAsked = settings.server.users !== undefined && !/^[ \t]*auth-user-pass\b/m.test(lines);
  return isAsked ? `${lines.trimEnd()}\nauth-user-pass\n` : lines;
}

async function revoke(folder: PkiFolder, name: string): Promise<string> {
  const now = Date.now();
  const before = folder.register();
  const named = before.filter((entry) => entry.name === name);
  if (named.length === 0) throw new Error(`there is no "${name}": morgana pki list ${quoted(folder.disk)} says who is`);
  const authority = await folder.authority();
  const register = before.map((entry) =>
    entry.name === name && entry.revokedAt === undefined ? { ...entry, revokedAt: wholeSecond(now) } : entry,
  );
  const revoked = register.flatMap(({ serial, revokedAt }) =>
    revokedAt === undefined ? [] : [{ serial, at: revokedAt }],
  );
  const text = await authority.revocationList(now, revoked);
  const path = join(folder.disk, DISK.crl);
  folder.writeRegister(register);
  // Also where all was revoked before: the list may not have been written then.
  write({ path, text, isSecret: false }, true);
  return `revoked ${name} (${named.map(({ serial }) => serial).join(", ")}); wrote ${path}
next: give the server the new list: ${diskCommand(folder.disk)}
until then ${name} comes in; a Morgana that takes the list while it runs (SIGHUP) asks every client again at once
`;
}

function list(folder: PkiFolder): string {
  const now = Date.now();
  const rows = folder.register().map((entry) => {
    const state = stateOf(entry, now);
    return [
      entry.name,
      entry.serial,
      day(entry.notAfter),
      entry.revokedAt === undefined ? state : `revoked ${day(entry.revokedAt)}`,
    ];
  });
  const table = [["NAME", "SERIAL", "UNTIL", "STATE"], ...rows];
  const widths = [0, 1, 2].map((column) => Math.max(...table.map((row) => (row[column] as string).length)));
  return table.map((row) => `${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ")}\n`).join("");
}

function stateOf({ notAfter, revokedAt }: Entry, now: number): "valid" | "expired" | "revoked" {
  if (revokedAt !== undefined) return "revoked";
  return notAfter.getTime() < now ? "expired" : "valid";
}

const day = (date: Date): string => date.toISOString().slice(0, 10);
const wholeSecond = (time: number): Date => new Date(Math.floor(time / 1000) * 1000);

/** A word as a shell takes it. */
const quoted = (word: string): string => (/^[\w./@%+=:,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

const diskCommand = (disk: string): string =>
  `xorriso -as mkisofs -quiet -V MORGANA -J -R -o ${quoted(`${disk}.iso`)} ${quoted(disk)}`;
