import manifest from "../../package.json" with { type: "json" };

export const version: string = manifest.version;

export const HELP = `morgana ${version} - an OpenVPN-compatible router

usage: morgana check [--client|--server] FILE
       morgana appliance --wan IF [--lan IF] --config PATH
       morgana client FILE
       morgana server FILE
       morgana pki init DIR --server HOST[:PORT] [--proto udp|tcp]
       morgana pki client|revoke DIR NAME
       morgana genkey TYPE [--force] [FILE]
       morgana passwd USER
       morgana --version | --help | SUBCOMMAND --help

  check      parse and validate an OpenVPN file; prints the resolved configuration
  appliance  route the LAN interface through the tunnel that PATH describes
  client     connect this machine, by a tun device of its kernel
  server     serve clients on this machine, by a tun device of its kernel
  pki        make the certificates, keys and files of a new VPN: of the server, and of each client
  genkey     make a key for tls-auth, tls-crypt, tls-crypt-v2, secret or auth-gen-token-secret
  passwd     read a password, print its line for users.txt

As the image of its own machine (npm run image) it boots by itself, and finds NICs and config disk.
`;

/** Says what is wrong with the command line; exit status 2. */
export function usageError(subcommand: string | undefined, problem: string): number {
  const [start, command] = subcommand === undefined ? ["", ""] : [`${subcommand}: `, `${subcommand} `];
  process.stderr.write(`morgana: ${start}${problem}\nTry "morgana ${command}--help".\n`);
  return 2;
}
