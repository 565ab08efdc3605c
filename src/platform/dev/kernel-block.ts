/**
 * Keeps this machine's kernel off an interface that is ours: what comes in is dropped behind our packet socket, which sees it
 * before, and what goes out is dropped unless our packet socket sent it. So no address, route, bridge or service of the machine
 * can answer, forward or speak there. Frames of a VLAN are not ours and pass.
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

/** Our choice, by which ours are known: "morg". The next one says that the qdisc was not there before. */
const OWN_HANDLE = 0x6d6f7267;
const OWN_HANDLE_AND_QDISC = OWN_HANDLE + 1;

const DROP_UNTAGGED = byVlan(TC_ACT_SHOT, TC_ACT_UNSPEC);
const DROP_OTHERS: readonly Instruction[] = [
  [LOAD_WORD, 0, 0, FRAME_MARK],
  [JUMP_EQUAL, DROP_UNTAGGED.length - 1, 0, OWN_MARK],
  ...DROP_UNTAGGED,
];

/**
 * Sets the block of an interface where it is not set.
 * @returns why that cannot be, as the end of a sentence; undefined: it is set
 */
export function blockKernel(index: number): string | undefined {
  try {
    Netlink.with((netlink) => {
      if (ownFilters(netlink, index).length === 2) return;
      setBlock(netlink, index);
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
    for (const { parent, handle } of own)
      netlink.request(RTM_DELTFILTER, 0, message(index, handle, parent, FILTER_INFO, "bpf"), "tc filter");
    const isQdiscOurs = own.some(({ handle }) => handle === OWN_HANDLE_AND_QDISC);
    const left = [INGRESS, EGRESS].flatMap((parent) => filters(netlink, index, parent));
    if (isQdiscOurs && left.length === 0)
      netlink.request(RTM_DELQDISC, 0, message(index, CLSACT_HANDLE, CLSACT, 0, "clsact"), "tc qdisc");
  });
}

function setBlock(netlink: Netlink, index: number): void {
  const before = ownFilters(netlink, index)[0];
  const handle = before?.handle ?? (addQdisc(netlink, index) ? OWN_HANDLE_AND_QDISC : OWN_HANDLE);
  for (const [parent, program] of [
    [INGRESS, DROP_UNTAGGED],
    [EGRESS, DROP_OTHERS],
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
    filters(netlink, index, parent).filter(({ handle }) => handle === OWN_HANDLE || handle === OWN_HANDLE_AND_QDISC),
  );

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
