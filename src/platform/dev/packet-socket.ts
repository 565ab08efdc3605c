/** The socket of a packet device: its options (packet(7)), the size of its buffers, and the filter that marks frames of a VLAN. */
import { totalmem } from "node:os";
import {
  PACKET_ADD_MEMBERSHIP,
  PACKET_AUXDATA,
  PACKET_IGNORE_OUTGOING,
  PACKET_MR_ALLMULTI,
  PACKET_MR_PROMISC,
  PACKET_VNET_HDR,
  SO_ATTACH_FILTER,
  SO_MARK,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SO_SNDBUF,
  SO_SNDBUFFORCE,
  SOL_PACKET,
  SOL_SOCKET,
} from "../sys/constants.ts";
import { check, EPERM, SysError } from "../sys/errno.ts";
import { libc } from "../sys/libc.ts";
import type { NativeMemory } from "../sys/memory.ts";
import { writePointer } from "../sys/struct.ts";
import { setSocketOption } from "../sys/syscalls.ts";
import { byVlan, INSTRUCTION_BYTES, OWN_MARK, writeProgram } from "./socket-filter.ts";

/**
 * Socket buffers. The kernel doubles what it is told and counts the true size of what lies there (skb->truesize: a small frame
 * counts 2 KiB and more). Of the 217 MiB that Linux leaves of 256, the program and its files take 150: a neighbour
 * that fills the buffers of both devices must get 7 of the rest, not 20.
 */
const RECEIVE_BUFFER = Math.min(8 << 20, Math.floor(totalmem() / 256));
/** Also the queue of what a slow interface has not taken yet: nothing waits for it, so a turn's output must fit well. */
const SEND_BUFFER = RECEIVE_BUFFER;

/** What a device receives: what a station of the network does, or all there is, as a bridge must, VLANs with their tags. */
export type Reach = "station" | "all";

/**
 * Sets what the socket is to do before it is bound.
 * @param index of the interface @param memory for what the kernel reads @param reach what comes in @throws SysError
 */
export function configureSocket(fd: number, index: number, memory: NativeMemory, reach: Reach): void {
  setSocketOption(fd, SOL_PACKET, PACKET_VNET_HDR, 1);
  setSocketOption(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
  markOwn(fd);
  setBuffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, RECEIVE_BUFFER);
  setBuffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, SEND_BUFFER);
  hear(fd, index, memory, reach === "all" ? PACKET_MR_PROMISC : PACKET_MR_ALLMULTI);
  if (reach === "all") setSocketOption(fd, SOL_PACKET, PACKET_AUXDATA, 1);
  else markVlanFrames(fd, memory);
}

/**
 * What is sent to groups comes in, whatever the interface filters: neighbours of IPv6 are found by their groups (RFC 4861 7.2.2),
 * which our kernel has not joined. With PACKET_MR_PROMISC so does what is for other stations. It ends with the socket.
 */
function hear(fd: number, index: number, memory: NativeMemory, what: number): void {
  const request = memory.take(PACKET_MREQ_BYTES);
  memory.view.setInt32(request.at, index, true);
  memory.view.setUint16(request.at + 4, what, true);
  const done = libc.setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, request.pointer, PACKET_MREQ_BYTES);
  check("setsockopt", done, "PACKET_ADD_MEMBERSHIP");
}

/** struct packet_mreq of linux/if_packet.h: index, type, length and bytes of an address. */
const PACKET_MREQ_BYTES = 16;

/** What we send bears our mark, which the block of the kernel lets pass (kernel-block.ts). Whoever may not set one cannot set that either. */
function markOwn(fd: number): void {
  try {
    setSocketOption(fd, SOL_SOCKET, SO_MARK, OWN_MARK);
  } catch (error) {
    if (!(error instanceof SysError) || error.errno !== EPERM) throw error;
  }
}

/** The FORCE variant goes beyond net.core.rmem_max but needs CAP_NET_ADMIN. */
function setBuffer(fd: number, force: number, plain: number, bytes: number): void {
  try {
    setSocketOption(fd, SOL_SOCKET, force, bytes);
  } catch {
    setSocketOption(fd, SOL_SOCKET, plain, bytes);
  }
}

/** To what length the filter cuts frames of a VLAN: no frame is that short. */
export const VLAN_MARK = 1;

/** A frame of another VLAN would pass for one of ours: the filter cuts it to VLAN_MARK bytes, so that it is counted. */
function markVlanFrames(fd: number, memory: NativeMemory): void {
  const program = byVlan(0xffffffff, VLAN_MARK);
  const code = memory.take(program.length * INSTRUCTION_BYTES);
  writeProgram(memory.view, code.at, program);
  const header = memory.take(16);
  memory.view.setUint16(header.at, program.length, true);
  writePointer(memory.view, header.at + 8, code.pointer);
  check("setsockopt", libc.setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, header.pointer, 16), "SO_ATTACH_FILTER");
}
