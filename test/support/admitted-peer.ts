/** A server of the product that keeps nothing of a client before it has shown its address: admission, then a session. */
import { seededRandom } from "../../src/lib/random.ts";
import { type AdmissionConfig, admit } from "../../src/protocol/server/admission.ts";
import { CERTIFICATE, PUSH } from "./client-config.ts";
import { fakeTlsContext } from "./fake-tls.ts";
import { OpenvpnPeer } from "./openvpn-peer.ts";
import type { SimServer } from "./sim.ts";

const ADDRESS = Uint8Array.from([192, 0, 2, 1, 4, 210]);
const START = 1_700_000_000;

export class AdmittedPeer implements SimServer {
  mute = false;
  withholdsPush = false;
  isForgiving = true;
  /** Drops of admission. */
  readonly drops: number[] = [];
  readonly #config: AdmissionConfig;
  readonly #answers: Uint8Array[] = [];
  #peer: OpenvpnPeer | undefined;

  constructor(config: AdmissionConfig) {
    this.#config = config;
  }

  get received(): Uint8Array[] {
    return this.#peer?.received ?? [];
  }

  get exited(): boolean {
    return this.#peer?.exited ?? false;
  }

  get keyId(): number {
    return this.#peer?.keyId ?? -1;
  }

  get login(): readonly (string | undefined)[] {
    return this.#peer?.login ?? [];
  }

  handle(now: number, packet: Uint8Array): void {
    this.#peer ??= this.#admit(now, packet);
    this.#peer?.handle(now, packet);
  }

  renegotiate(now: number): void {
    this.#peer?.renegotiate(now);
  }

  say(text: string): void {
    this.#peer?.say(text);
  }

  seal(now: number, payload: Uint8Array): Uint8Array | undefined {
    return this.#peer?.seal(now, payload);
  }

  handleTimeout(now: number): void {
    this.#peer?.handleTimeout(now);
  }

  poll(now: number): Uint8Array | undefined {
    return this.#answers.shift() ?? this.#peer?.poll(now);
  }

  pollAt(): number {
    if (this.#answers.length > 0) return Number.NEGATIVE_INFINITY;
    return this.#peer?.pollAt() ?? Number.POSITIVE_INFINITY;
  }

  #admit(now: number, packet: Uint8Array): OpenvpnPeer | undefined {
    const unixSeconds = Math.floor(START + now / 1000);
    const admission = admit(this.#config, packet, ADDRESS, unixSeconds);
    if (typeof admission === "number") this.drops.push(admission);
    else if (admission.kind === "answer") this.#answers.push(admission.packet);
    else {
      const random = seededRandom(99);
      const resumed = admission.kind === "session" ? admission.resumed : undefined;
      return new OpenvpnPeer({
        wrap: admission.wrap,
        tls: fakeTlsContext(true, random, CERTIFICATE),
        random,
        cipher: "AES-256-GCM",
        peerId: 5,
        push: PUSH,
        ekm: true,
        // No earlier than that of the answer: the time of replay ids does not go back.
        start: { resumed, unixSeconds },
      });
    }
    return undefined;
  }
}
