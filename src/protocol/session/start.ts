/** What a session is made of and begins with: ports, parts of a configuration, the link below it. */
import type { Arena } from "../../lib/slab.ts";
import type { ControlConfig, DataConfig, VerifyConfig } from "../config/types.ts";
import type { AeadKeyUse } from "../data/aead-key.ts";
import type { ChannelConfig } from "../data/create-channel.ts";
import type { KeyPorts } from "../data/create-key.ts";
import type { MachineInfo } from "../exchange/peer-info.ts";
import type { ControlPrimitives, Decompressors, TlsContext } from "../ports.ts";

export interface SessionPorts extends KeyPorts {
  readonly control: ControlPrimitives;
  /** Made of the same configuration. It outlives the session. */
  readonly tls: TlsContext;
  /**
   * Room for what a session makes: pings, which are copied out at once, and opened packets that cannot stay where they came
   * (decompressed, put together), and packets in pieces. Its owner empties it when all that is delivered and sent.
   */
  readonly scratch: Arena;
  readonly decompressors: Decompressors;
}

/** The parts of a configuration that an association needs. */
export interface AssociationConfig extends ChannelConfig {
  readonly control: ControlConfig;
  /** Looked at in each handshake: it may be another one by then. */
  readonly verify: VerifyConfig;
  readonly data: ChannelConfig["data"] & Pick<DataConfig, "replayWindow">;
}

/** What a session knows of the link below it. */
export interface LinkFacts {
  /** Bytes of the headers below the packets: 28 for UDP over IPv4. */
  readonly overhead: number;
  /** Packets go over TCP. */
  readonly isStream: boolean;
}

export interface AssociationStart {
  readonly link: LinkFacts;
  /** Wall clock, for the replay ids of tls-auth and tls-crypt. */
  readonly unixSeconds: number;
  /** A server that answered the client's reset without keeping anything: the session ids that were agreed on by that. */
  readonly resumed?: { readonly ownSessionId: Uint8Array; readonly peerSessionId: Uint8Array } | undefined;
  /** A server that knows where its client is: it sends its reset without waiting for the client's. */
  readonly begins?: boolean | undefined;
  /** What the peer is told of this machine, if the profile has push-peer-info. */
  readonly machine?: MachineInfo | undefined;
  /** Tests start with a key that is nearly used up. */
  readonly keyUse?: AeadKeyUse | undefined;
}
