/**
 * Who is in, as OpenVPN writes it to the file of `status` and says it in its management interface (man openvpn, --status-version; multi.c,
 * multi_print_status): what people's tools read. Times are UTC, as those of a machine without a time zone.
 */
import { type Endpoint, formatEndpoint } from "../../lib/endpoint.ts";
import { utc } from "../../lib/utc.ts";
import { oneLine } from "../config/lexer.ts";
import type { Guest } from "./guest.ts";

/** A client that is in, and what has passed. */
export interface StatusClient {
  readonly guest: Guest;
  readonly endpoint: Endpoint;
  readonly peerId: number;
  readonly cipher: string;
  /** Bytes of the link from and to it. */
  readonly received: number;
  readonly sent: number;
  /** When something of it came last, in seconds since 1970. */
  readonly lastAt: number;
}

export type StatusVersion = 1 | 2 | 3;

const CLIENT_COLUMNS = ["Common Name", "Real Address", "Bytes Received", "Bytes Sent", "Connected Since"];
const ROUTE_COLUMNS = ["Virtual Address", "Common Name", "Real Address", "Last Ref"];
const CLIENT_LIST = [
  ...["Common Name", "Real Address", "Virtual Address", "Virtual IPv6 Address", "Bytes Received", "Bytes Sent"],
  ...["Connected Since", "Connected Since (time_t)", "Username", "Client ID", "Peer ID", "Data Channel Cipher"],
];
/** There is no such queue here, but tools expect the row. */
const QUEUE = ["Max bcast/mcast queue length", "0"];
/** OpenVPN's word for a user that there is none of. */
const UNDEF = "UNDEF";

/** @param title of the program, in versions 2 and 3 @returns lines, the last one too with its end */
export function formatStatus(
  version: StatusVersion,
  title: string,
  unixSeconds: number,
  clients: readonly StatusClient[],
): string {
  const separator = version === 3 ? "\t" : ",";
  const rows = version === 1 ? firstVersion(unixSeconds, clients) : laterVersions(title, unixSeconds, clients);
  // What a client or a certificate says must not make a column or a row of its own.
  const cell = (text: string): string => oneLine(text).replaceAll(separator, "_");
  return rows.map((row) => `${row.map(cell).join(separator)}\n`).join("");
}

function firstVersion(unixSeconds: number, clients: readonly StatusClient[]): string[][] {
  return [
    ["OpenVPN CLIENT LIST"],
    ["Updated", time(unixSeconds)],
    CLIENT_COLUMNS,
    ...clients.map(({ guest, endpoint, received, sent }) => [
      ...[guest.name, realAddress(endpoint), `${received}`, `${sent}`],
      time(guest.since),
    ]),
    ["ROUTING TABLE"],
    ROUTE_COLUMNS,
    ...routes(clients).map(({ network, client }) => [...route(network, client), time(client.lastAt)]),
    ["GLOBAL STATS"],
    QUEUE,
    ["END"],
  ];
}

function laterVersions(title: string, unixSeconds: number, clients: readonly StatusClient[]): string[][] {
  return [
    ["TITLE", title],
    ["TIME", time(unixSeconds), `${unixSeconds}`],
    ["HEADER", "CLIENT_LIST", ...CLIENT_LIST],
    ...clients.map(({ guest, endpoint, peerId, cipher, received, sent }) => [
      ...["CLIENT_LIST", guest.name, realAddress(endpoint), `${guest.address ?? ""}`, `${guest.address6 ?? ""}`],
      ...[`${received}`, `${sent}`, time(guest.since), `${guest.since}`],
      // A client's number in the management interface is here that of its packets.
      ...[guest.user ?? UNDEF, `${peerId}`, `${peerId}`, cipher],
    ]),
    ["HEADER", "ROUTING_TABLE", ...ROUTE_COLUMNS, "Last Ref (time_t)"],
    ...routes(clients).map(({ network, client }) => [
      "ROUTING_TABLE",
      ...[...route(network, client), time(client.lastAt), `${client.lastAt}`],
    ]),
    ["GLOBAL_STATS", ...QUEUE],
    ["GLOBAL_STATS", "dco_enabled", "0"],
    ["END"],
  ];
}

/** Every network of every client; a single address without its prefix. */
function routes(clients: readonly StatusClient[]): { network: string; client: StatusClient }[] {
  return clients.flatMap((client) =>
    client.guest.networks.map((cidr) => {
      const isOne = cidr.prefix === cidr.address.bits;
      return { network: isOne ? `${cidr.address}` : `${cidr}`, client };
    }),
  );
}

const route = (network: string, { guest, endpoint }: StatusClient): string[] => [
  network,
  guest.name,
  realAddress(endpoint),
];

/** As mroute.c: of IPv6 without the port. */
const realAddress = (endpoint: Endpoint): string =>
  endpoint.address.isIpv4 ? formatEndpoint(endpoint) : `${endpoint.address}`;

/** "2026-11-29 04:04:29". */
function time(unixSeconds: number): string {
  const toTheMinute = utc(unixSeconds).replace(" UTC", "");
  return `${toTheMinute}:${String(Math.floor(unixSeconds) % 60).padStart(2, "0")}`;
}
