/**
 * Keeps this machine's kernel off an interface that is ours: what comes in is dropped behind our packet socket, which sees it
 * before, and what goes out is dropped unless our packet socket sent it. So no address, route, bridge or service of the machine
 * can answer, forward or speak there. Frames of a VLAN are ours on an interface whose device takes every station's (a bridge carries
 * them with their tags); on another one they are not, and pass.
 *
 * It is done by traffic control: a classifier (cls_bpf, tc-bpf(8)) on either way of the interface's clsact qdisc. A process
 * that is killed leaves it behind; the next one takes it over, and takes it away when it ends.
 */
import { EEXIST, ENOENT, EPERM, SysError } from "../sys/errno.ts";
import {
  attribute,
  attributes,
  Netlink,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  textOf,
} from "./netlink.ts";
import {
  byVlan,
  FRAME_MARK,
  INSTRUCTION_BYTES,
  type Instruction,
  JUMP_EQUAL,
  LOAD_WORD,
  OWN_MARK,
  RETURN,
  writeProgram,
} from "./socket-filter.ts";

/** struct tcmsg { u8 family; s32 index; u32 handle, parent, info } (linux/rtnetlink.h) */
const TCMSG = 20;
const INDEX = 4;
const HANDLE = 8;
const PARENT = 12;
const INFO = 16;
const RTM_NEWQDISC = 36;
const RTM_DELQDISC = 37;
const RTM_NEWTFILTER = 44;
const RTM_DELTFILTER = 45;
const RTM_GETTFILTER = 46;
const RTM_GETQDISC = 38;
const TCA_KIND = 1;
const TCA_OPTIONS = 2;
const TCA_BPF_OPS_LEN = 4;
const TCA_BPF_OPS = 5;
const TCA_BPF_FLAGS = 8;
const TCA_BPF_FLAG_ACT_DIRECT = 1;
/** linux/pkt_sched.h: of clsact itself, and of its two ways. */
const CLSACT = 0xfffffff1;
const CLSACT_HANDLE = 0xffff0000;
const INGRESS = 0xfffffff2;
const EGRESS = 0xfffffff3;
/** First of all, for every protocol (ETH_P_ALL in network order). */
const PRIORITY = 1;
const FILTER_INFO = (PRIORITY << 16) | 0x0300;
/** linux/pkt_cls.h */
const TC_ACT_SHOT = 2;
const TC_ACT_UNSPEC = 0xffffffff;

/** Our choice, by which ours are known: "morg", and the sum of what else is so of the block. */
const OWN_HANDLE = 0x6d6f7267;
/** The qdisc was not there before. */
const WITH_QDISC = 1;
/** Frames of VLANs are dropped too. */
const WITH_VLANS = 2;
const LAST_HANDLE = OWN_HANDLE + WITH_QDISC + WITH_VLANS;

/** What comes in, where frames of VLANs pass, and where they do not. */
const DROP_UNTAGGED = byVlan(TC_ACT_SHOT, TC_ACT_UNSPEC);
const DROP_ALL: readonly Instruction[] = [
  [RETURN, 0, 0, TC_ACT_SHOT],
  [RETURN, 0, 0, TC_ACT_UNSPEC],
];

/** What goes out: the same, but for what has our mark, which the last instruction lets pass. */
const butOwn = (drop: readonly Instruction[]): readonly Instruction[] => [
  [LOAD_WORD, 0, 0, FRAME_MARK],
  [JUMP_EQUAL, drop.length - 1, 0, OWN_MARK],
  ...drop,
];

/**
 * Sets the block of an interface where it is not set.
 * @param vlans whether frames of VLANs are ours too
 * @returns why that cannot be, as the end of a sentence; undefined: it is set
 */
export function blockKernel(index: number, vlans = false): string | undefined {
  try {
    Netlink.with((netlink) => {
      const own = ownFilters(netlink, index);
      const isOther = own.some(({ handle }) => has(handle, WITH_VLANS) !== vlans);
      if (own.length === 2 && !isOther) return;
      setBlock(netlink, index, own, vlans);
      // What a process that was killed left of the other kind goes when ours is there.
      for (const filter of own) if (has(filter.handle, WITH_VLANS) !== vlans) removeFilter(netlink, index, filter);
    });
    return undefined;
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    try {
      unblockKernel(index);
    } catch {
      // What could not be set cannot be taken away either.
    }
    if (error.errno === EPERM) return "that needs CAP_NET_ADMIN";
    if (error.errno === ENOENT) return "that needs a kernel with sch_ingress and cls_bpf (modprobe)";
    if (error.errno === EEXIST) return "another ingress qdisc is in the way (tc qdisc show)";
    return error.message;
  }
}

/** Takes the block of an interface away, with the qdisc if nobody else uses it; what is gone with its interface is no error. @throws SysError */
export function unblockKernel(index: number): void {
  Netlink.with((netlink) => {
    const own = ownFilters(netlink, index);
    for (const filter of own) removeFilter(netlink, index, filter);
    const isQdiscOurs = own.some(({ handle }) => has(handle, WITH_QDISC));
    const left = [INGRESS, EGRESS].flatMap((parent) => filters(netlink, index, parent));
    if (isQdiscOurs && left.length === 0)
      netlink.request(RTM_DELQDISC, 0, message(index, CLSACT_HANDLE, CLSACT, 0, "clsact"), "tc qdisc");
  });
}

/** @param own what there is of a block already */
function setBlock(netlink: Netlink, index: number, own: readonly Filter[], vlans: boolean): void {
  const before = own[0];
  const isQdiscOurs = before === undefined ? addQdisc(netlink, index) : has(before.handle, WITH_QDISC);
  const handle = OWN_HANDLE + (isQdiscOurs ? WITH_QDISC : 0) + (vlans ? WITH_VLANS : 0);
  const drop = vlans ? DROP_ALL : DROP_UNTAGGED;
  for (const [parent, program] of [
    [INGRESS, drop],
    [EGRESS, butOwn(drop)],
  ] as const) {
    const filter = message(index, handle, parent, FILTER_INFO, "bpf", options(program));
    netlink.request(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_REPLACE, filter, "tc filter");
  }
}

/** @returns whether it was not there before @throws SysError: EEXIST where one of another kind is there */
function addQdisc(netlink: Netlink, index: number): boolean {
  const qdisc = message(index, CLSACT_HANDLE, CLSACT, 0, "clsact");
  try {
    netlink.request(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, qdisc, "tc qdisc");
    return true;
  } catch (error) {
    if (!(error instanceof SysError) || error.errno !== EEXIST) throw error;
    if (ingressKind(netlink, index) !== "clsact") throw error;
    return false;
  }
}

interface Filter {
  readonly parent: number;
  readonly handle: number;
}

const ownFilters = (netlink: Netlink, index: number): Filter[] =>
  [INGRESS, EGRESS].flatMap((parent) =>
    filters(netlink, index, parent).filter(({ handle }) => handle >= OWN_HANDLE && handle <= LAST_HANDLE),
  );

/** Whether a filter of ours is of that kind. */
const has = (handle: number, kind: typeof WITH_QDISC | typeof WITH_VLANS): boolean =>
  ((handle - OWN_HANDLE) & kind) !== 0;

function removeFilter(netlink: Netlink, index: number, { parent, handle }: Filter): void {
  netlink.request(RTM_DELTFILTER, 0, message(index, handle, parent, FILTER_INFO, "bpf"), "tc filter");
}

/** What classifies on one way of the interface. */
function filters(netlink: Netlink, index: number, parent: number): Filter[] {
  const all = netlink.request(RTM_GETTFILTER, NLM_F_DUMP, message(index, 0, parent, 0), "tc filter");
  return all
    .filter(({ type, body }) => type === RTM_NEWTFILTER && body.getInt32(INDEX, true) === index)
    .map(({ body }) => ({ parent, handle: body.getUint32(HANDLE, true) }))
    .filter(({ handle }) => handle !== 0); // 0: the list of a priority, not what is in it
}

/** Which kind of qdisc is where clsact would be. */
function ingressKind(netlink: Netlink, index: number): string | undefined {
  const all = netlink.request(RTM_GETQDISC, NLM_F_DUMP, message(index, 0, 0, 0), "tc qdisc");
  const found = all.find(({ body }) => body.getInt32(INDEX, true) === index && body.getUint32(PARENT, true) === CLSACT);
  const kind = found && attributes(found.body, TCMSG).get(TCA_KIND);
  return kind && textOf(kind);
}

function message(
  index: number,
  handle: number,
  parent: number,
  info: number,
  kind?: string,
  more: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const kindAttribute =
    kind === undefined ? new Uint8Array(0) : attribute(TCA_KIND, new TextEncoder().encode(`${kind}\0`));
  const bytes = new Uint8Array(TCMSG + kindAttribute.length + more.length);
  const view = new DataView(bytes.buffer);
  view.setInt32(INDEX, index, true);
  view.setUint32(HANDLE, handle, true);
  view.setUint32(PARENT, parent, true);
  view.setUint32(INFO, info, true);
  bytes.set(kindAttribute, TCMSG);
  bytes.set(more, TCMSG + kindAttribute.length);
  return bytes;
}

/** Of a filter whose program says itself what becomes of the frame. */
function options(program: readonly Instruction[]): Uint8Array {
  const code = new Uint8Array(program.length * INSTRUCTION_BYTES);
  writeProgram(new DataView(code.buffer), 0, program);
  return attribute(
    TCA_OPTIONS,
    attribute(TCA_BPF_OPS_LEN, Uint8Array.of(program.length, 0)),
    attribute(TCA_BPF_OPS, code),
    attribute(TCA_BPF_FLAGS, Uint8Array.of(TCA_BPF_FLAG_ACT_DIRECT, 0, 0, 0)),
  );
}
