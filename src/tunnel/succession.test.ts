import { describe, expect, test } from "bun:test";
import { Succession } from "./succession.ts";

interface Made {
  readonly number: number;
  readonly left: boolean;
  leave(now: number): void;
  stop(now: number, reason: string): void;
}

/** One that makes Made, and tells what happens to them. */
function bed(stop: (made: number) => void = () => {}, make: (number: number) => boolean = () => true) {
  const seen: string[] = [];
  let made = 0;
  const succession = new Succession<Made>({
    make: () => {
      const number = ++made;
      if (!make(number)) throw new Error("it cannot be made");
      return {
        number,
        left: false,
        leave: (now) => seen.push(`${now} leave ${number}`),
        stop: (now, reason) => {
          seen.push(`${now} stop ${number}: ${reason}`);
          stop(number);
        },
      };
    },
    start: (now, { number }) => seen.push(`${now} start ${number}`),
    discard: (now, { number }) => seen.push(`${now} discard ${number}`),
  });
  return { seen, succession };
}

describe("succession", () => {
  test("who is given up is stopped, and another one starts 5 s later, once", () => {
    const { seen, succession } = bed();
    succession.begin(0);
    expect(succession.pollAt()).toBe(Number.POSITIVE_INFINITY);
    succession.giveUp(1000);
    expect(succession.current).toBeUndefined();
    expect(succession.pollAt()).toBe(6000);
    for (const now of [5999, 6000, 6001]) succession.poll(now);
    expect(succession.current?.number).toBe(2);
    expect(seen).toEqual(["0 start 1", "1000 stop 1: internal error", "6000 start 2"]);
  });

  test("one that cannot even be stopped is discarded", () => {
    const { seen, succession } = bed(() => {
      throw new Error("broken");
    });
    succession.begin(0);
    succession.giveUp(10);
    expect(seen.at(-1)).toBe("10 discard 1");
    succession.poll(5010);
    expect(succession.current?.number).toBe(2);
  });

  test("one that cannot be made is made again when that is given up, and nothing is left of the one before", () => {
    const { succession } = bed(undefined, (number) => number !== 2);
    succession.begin(0);
    expect(() => succession.begin(1)).toThrow("it cannot be made");
    expect(succession.current).toBeUndefined();
    succession.giveUp(1);
    succession.poll(5001);
    expect(succession.current?.number).toBe(3);
  });

  test("who is to be followed by another one when the goodbye is said is not: it has left already", () => {
    const { seen, succession } = bed();
    succession.begin(0);
    succession.giveUp(1000);
    succession.leave(6000);
    expect([succession.left, succession.pollAt()]).toEqual([true, Number.POSITIVE_INFINITY]);
    succession.poll(6000);
    expect(succession.current).toBeUndefined();
    expect(seen).toEqual(["0 start 1", "1000 stop 1: internal error"]);
  });

  test("one that fails during its goodbye is not followed by another", () => {
    const { seen, succession } = bed();
    succession.begin(0);
    succession.leave(10);
    expect(succession.left).toBe(false);
    succession.giveUp(20);
    expect([succession.left, succession.pollAt()]).toEqual([true, Number.POSITIVE_INFINITY]);
    expect(seen).toEqual(["0 start 1", "10 leave 1", "20 stop 1: internal error"]);
  });
});
