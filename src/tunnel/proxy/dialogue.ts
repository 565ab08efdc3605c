/** What is said to a proxy before a stream through it is ours. Pure: bytes in, bytes out; one for all connections to a proxy. */
import type { Endpoint } from "../../lib/endpoint.ts";

export type ProxyStep =
  /** The proxy has more to say. */
  | { readonly kind: "wait" }
  | { readonly kind: "say"; readonly bytes: Uint8Array }
  /** The way is free. What follows `used` bytes of what was fed is the peer's. @param relay where datagrams go, of UDP ASSOCIATE */
  | { readonly kind: "open"; readonly used: number; readonly relay: Endpoint | undefined }
  /** On a new connection: this one served to learn what the proxy asks for. */
  | { readonly kind: "again" }
  /** In words, with the remedy: the end of a sentence that begins with the proxy. "login-refused": user and password were sent. */
  | { readonly kind: "failed" | "login-refused"; readonly text: string };

export interface ProxyDialogue {
  /** A connection to the proxy is open: what to say first. */
  begin(): Uint8Array;
  /** All that has come since the last step, from its first byte on: what is not used yet comes again with what follows it. */
  feed(bytes: Uint8Array): ProxyStep;
  /** Whether datagrams go through a relay of the proxy; the connection stays open beside them. */
  readonly isForDatagrams: boolean;
}

export const WAIT: ProxyStep = Object.freeze({ kind: "wait" });
