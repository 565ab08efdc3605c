/** Many descriptors, of which those that are ready are told (epoll(7)): itself one descriptor for the poller. */
import { arch } from "node:process";
import { check } from "./errno.ts";
import { libc } from "./libc.ts";
import { NativeMemory } from "./memory.ts";

const EPOLL_CLOEXEC = 0x80000;
const [ADD, DELETE, MODIFY] = [1, 2, 3];
/** sys/epoll.h: the same bits as those of poll. */
const IN = 1;
const OUT = 4;
/** struct epoll_event { u32 events; u64 data }, packed on x86-64 alone. */
const [EVENT_BYTES, DATA] = arch === "x64" ? [12, 4] : [16, 8];
const MAX_EVENTS = 64;

export class Epoll {
  readonly fd: number;
  readonly #memory = new NativeMemory((MAX_EVENTS + 1) * EVENT_BYTES);

  /** @throws SysError */
  constructor() {
    this.fd = check("epoll_create1", libc.epoll_create1(EPOLL_CLOEXEC));
  }

  /** @param tag what {@link ready} gives back, from 0 on @throws SysError */
  add(fd: number, tag: number): void {
    this.#control(ADD, fd, tag, false);
  }

  /** @param wantsRoom whether it is to be told when there is room to send @throws SysError */
  modify(fd: number, tag: number, wantsRoom: boolean): void {
    this.#control(MODIFY, fd, tag, wantsRoom);
  }

  remove(fd: number): void {
    libc.epoll_ctl(this.fd, DELETE, fd, this.#memory.pointer);
  }

  /** The tags of what is ready now, some of them where many are. */
  ready(tags: number[]): number[] {
    tags.length = 0;
    const { view, pointer } = this.#memory;
    const count = libc.epoll_wait(this.fd, pointer, MAX_EVENTS, 0);
    for (let i = 0; i < count; i++) tags.push(view.getUint32(i * EVENT_BYTES + DATA, true));
    return tags;
  }

  #control(operation: number, fd: number, tag: number, wantsRoom: boolean): void {
    const { view, pointer } = this.#memory;
    view.setUint32(0, wantsRoom ? IN | OUT : IN, true);
    view.setUint32(DATA, tag, true);
    view.setUint32(DATA + 4, 0, true);
    check("epoll_ctl", libc.epoll_ctl(this.fd, operation, fd, pointer));
  }
}
