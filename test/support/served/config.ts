/** The configuration of a server in simulations. */
import { Cidr, parseCidr } from "../../../src/lib/cidr.ts";
import { parseIp } from "../../../src/lib/ip.ts";
import type { ListenConfig, ServerPart } from "../../../src/protocol/config/server-types.ts";
import type { ControlWrap, ServerConfig } from "../../../src/protocol/config/types.ts";
import { NO_WRAP, SERVER_KEY, TLS_CRYPT_V2 } from "../client-config.ts";

export type WholeConfig = ServerConfig & ServerPart;

const ORIGIN = { file: "server.conf", line: 1 };
const replayWindow = { packets: 64, seconds: 15 };
const none = undefined;

export const listenOn = (protocol: "udp" | "tcp" = "udp", port = 1194): ListenConfig => ({
  ...{ address: none, port, protocol, family: "any", origin: ORIGIN },
});

/** @param wrap as a client has it */
export function wholeConfig(wrap: ControlWrap, change: Partial<WholeConfig> = {}): WholeConfig {
  const isV2 = wrap.kind === "tls-crypt-v2";
  const own = isV2 ? NO_WRAP : wrap.kind === "tls-auth" ? ({ ...wrap, direction: 0 } as const) : wrap;
  return {
    role: "server",
    file: "server.conf",
    device: "tun",
    link: { localPort: 1194, streamPort: 1194, float: true },
    control: {
      ...{ wrap: own, replayWindow, handWindow: 60, tlsTimeout: 2, tranWindow: 3600 },
      ...{ renegSec: { max: 0, min: 0 }, renegBytes: 0, renegPkts: 0 },
    },
    tls: {
      ...{ ca: none, cert: none, key: none, extraCerts: none, pkcs12: none, passphrase: none, passphraseFile: none },
      ...{ crl: none, minVersion: "1.2", maxVersion: "1.3", cipherList: none, cipherSuites: none, groups: none },
      ...{ certProfile: "legacy", origins: {} },
    },
    verify: {
      ...{ remoteCertTls: none, remoteCertEku: none, remoteCertKu: none, nsCertType: none, x509Name: none },
      ...{ usernameFields: ["CN"], verifyHash: none, peerFingerprints: none },
    },
    data: {
      ...{ ciphers: ["AES-256-GCM", "CHACHA20-POLY1305"], fallbackCipher: none, auth: "SHA256", compression: "none" },
      ...{ allowCompression: none, fragment: none, replayWindow },
    },
    keepalive: { ping: 10, timeout: 120, action: "restart", inactive: none, sessionTimeout: 0 },
    tunnel: { mtu: 1500, mtuMax: 1600, mssFix: { size: 1492, mode: "mtu" }, localOptions: [] },
    exitNotify: 0,
    listen: [listenOn()],
    wrappedKeys: isV2
      ? { serverKey: SERVER_KEY, material: TLS_CRYPT_V2.material, forceCookie: true, maxAgeDays: none }
      : none,
    network: {
      topology: "subnet",
      address: new Cidr(parseIp("10.8.0.1")!, 16),
      pool: { first: parseIp("10.8.0.2")!, last: parseIp("10.8.255.253")! },
      ...{ address6: none, pool6: none, persist: none, routes: [parseCidr("10.9.0.0/16")!], push: [] },
    },
    entry: {
      ...{ clientCert: "require", usernameAsCommonName: true, passwordOptional: false, token: none },
      ...{ duplicateNames: false, clientFolder: none, clientFileNeeded: false, origins: {} },
    },
    limits: {
      ...{ maxClients: 1024, connectFreq: none, connectFreqInitial: { count: 100, seconds: 10 } },
      maxRoutesPerClient: 256,
    },
    deviceType: "tun",
    clientToClient: false,
    push: [],
    pushTimers: [],
    ...change,
  } as WholeConfig;
}
