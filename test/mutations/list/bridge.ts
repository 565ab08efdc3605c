/** What a bridge believes, forwards and multiplies. */
import { mutationsOf } from "../mutation.ts";

export const BRIDGE = [
  ...mutationsOf(
    "netstack/link/bridge.ts",
    [
      "if (open === undefined) return Drop.TunnelClosed;",
      "if (open === undefined) return 0;",
      "that a closed tunnel says so",
    ],
    [
      "if (isGroupMac(srcHi) || (srcHi === 0 && srcLo === 0)) return Drop.EtherBadSource;",
      "",
      "that a group is no source",
    ],
    [
      "if (dstHi === RESERVED_HI && (dstLo & ~15) === RESERVED_LO && dstLo !== RESERVED_LO) return Drop.BridgeReserved;",
      "",
      "that what is for the next bridge alone stays there (IEEE 802.1Q 8.6.3)",
    ],
    [
      "if (port !== LAN_PORT && !this.#hasMac(port - 1, srcHi, srcLo)) return Drop.BridgeForeignMac;",
      "",
      "that a peer whose stations are named has those alone",
    ],
    [
      "if (!this.stations.learn(now, srcHi | this.#vlan, srcLo, port)) return Drop.BridgeMacHeld;",
      "this.stations.learn(now, srcHi | this.#vlan, srcLo, port);",
      "that a frame of a station that is elsewhere is dropped",
    ],
    ["if (to === port) return Drop.BridgeNoPort;", "", "that nothing goes back to where it came from"],
    [
      "if (port !== LAN_PORT && to > LAN_PORT && !open.peerToPeer) return Drop.PeerToPeer;",
      "",
      "that peers do not reach each other unless told",
    ],
    [
      "port === LAN_PORT || open.peerToPeer ? this.#present.length",
      "port >= LAN_PORT ? this.#present.length",
      "that what a peer sends to everybody does not reach the others unless told",
    ],
    [
      "if (copies + (toLan ? 1 : 0) > 1 && !this.#floods.take(",
      "if (copies > 1e9 && !this.#floods.take(",
      "the limit of copies",
    ],
    ["this.#clamp(d, p, port, to);", "", "the MSS clamp"],
    ["if (len < linkLen + VLAN_TAG_LEN) return Drop.EtherTruncated;", "", "that a tag is there as a whole"],
    [
      "return len - this.#linkLen > mtu ? Drop.TooBig : Drop.None;",
      "return Drop.None;",
      "that a frame fits the tunnel",
    ],
    [
      "return segmentCount(p.len, headerLen, p.gsoSize) > MAX_SEGMENTS ? Drop.GsoTooManySegments : Drop.None;",
      "return Drop.None;",
      "the bound on segments of a super-frame",
    ],
    ["    this.stations.forget(peer + 1);\n", "", "that the stations of a peer go with it"],
    ["sameHeader(d, this.#lastToLan, at) &&", "", "that frames for different stations are not joined"],
    ["copies > 1 || toLan)", "false)", "that who gets a copy beside others gets one of his own"],
  ),
  ...mutationsOf(
    "netstack/link/mac-table.ts",
    [
      "return i !== 0 && now < this.#heardAt[i]! + MAC_AGE_MS ? this.#port[i]! : NO_PORT;",
      "return i !== 0 ? this.#port[i]! : NO_PORT;",
      "that a silent station is forgotten (IEEE 802.1Q 8.8.3)",
    ],
    [
      "if (now - this.#heardAt[i]! < MAC_HELD_MS) return false;",
      "",
      "that a station that was just heard does not move",
    ],
    ["if (port !== 0 && this.#count[port]! >= this.#limit)", "if (port < 0)", "the bound on one port's stations"],
  ),
  ...mutationsOf(
    "appliance/bridge-side.ts",
    [
      "    this.#path.bridge.close();\n    this.#path.bridge.leave(SERVER);\n",
      "",
      "that a bridge whose tunnel is gone is closed",
    ],
    [
      "peerToPeer: clientToClient",
      "peerToPeer: true",
      "that clients of a bridge reach each other only with client-to-client",
    ],
    ["    this.#path.bridge.leave(peer);\n", "", "that nothing is bridged for a client that has left"],
  ),
  ...mutationsOf("appliance/forwarding.ts", [
    "loaded.ok ? loaded.config : loaded;",
    'loaded.ok ? loaded.config : { role: "client", deviceType: "tun" };',
    "that no address is given away on a LAN that is to be bridged, while the profile has problems",
  ]),
  ...mutationsOf(
    "platform/dev/kernel-block.ts",
    [
      "const drop = vlans ? DROP_ALL : DROP_UNTAGGED;",
      "const drop = DROP_UNTAGGED;",
      "that the kernel is kept off the VLANs of a bridged interface",
    ],
    [
      "if (own.length === 2 && !isOther) return;",
      "if (own.length === 2) return;",
      "that a block of the other kind, which was left behind, is not taken for ours",
    ],
  ),
];
