/**
 * `npm run interop:full -- [--only WORD] [--jobs N] [--kernel] [--seed n]`: the tables that `npm test` takes a choice of, whole. Our TCP
 * on every network of the grid, as client and as listener, sending and receiving, beside the Linux kernel in our place on the same
 * links in the same run: Mbit/s, the ratio, and the geometric mean of all ratios; then over a wire, and very many connections, one after the other and at
 * once. --kernel judges the judge: the kernel is measured against itself. Then our server's tables: clients of the openvpn that OPENVPN= names,
 * and our own; and client and server on the kernel of a host. Exit status 1 where bytes were wrong, a connection hung, a client did not get what
 * it should, or a host was not left as it was.
 */
import { availableParallelism } from "node:os";
import { type Cell, cells, wires } from "../test/support/tcp/grid.ts";
import { type Host, TcpPath } from "../test/support/tcp/path.ts";
import type { Outcome } from "../test/support/tcp/transfer.ts";
import { becomePrivileged, inUserNamespace } from "../test/support/world/privilege.ts";
import { UnixMatrix, unixCellName, unixCells } from "../test/support/world/unix-matrix.ts";
import { BINARY, build } from "./build-binary.ts";
import { commandLine } from "./command-line.ts";
import { failedTests, ROOT, summary } from "./steps.ts";

const USAGE = `usage: npm run interop:full [-- [--only WORD]... [--jobs N] [--kernel] [--seed N]]

  --only WORD   the networks whose names hold the word, and each other one that is given; "connections" is the part of many connections,
                "clients" our server's, "unix" that of client and server on the kernel of a host
  --jobs N      at once: as many as there are processors
  --kernel      judges the judge: the kernel beside itself
  --seed N      1; of the links' dice
`;
const { values, number } = commandLine(USAGE, {
  only: { type: "string", multiple: true },
  jobs: { type: "string" },
  kernel: { type: "boolean", default: false },
  seed: { type: "string" },
});
const wantedJobs = number("jobs", 1);
const seed = number("seed", 0) ?? 1;
await becomePrivileged();

/** What is measured must not be what the processors of this machine can do: long round trips leave them idle. */
const JOBS = wantedJobs ?? Math.max(1, availableParallelism());
/** Time of one transfer: some tens of round trips. */
const measureMs = (cell: Cell): number => (cell.delay === 0 ? 2000 : cell.delay === 20 ? 3000 : 10_000);
const PATIENCE_S = 60;
/** Connections one after the other, and at once; bytes of each; how long all of them may take. */
const IN_A_ROW = 10_000;
const AT_ONCE = 2000;
const ROW_BYTES = 3000;
const TOGETHER_BYTES = 20_000;
const MANY_PATIENCE_S = 300;
/** Rows of the server's table at once for each job: they wait for the timers of openvpn most of the time. */
const WAITING_ROWS = 6;
const judged: Host = values.kernel ? "kernel" : "own";

interface Row {
  readonly cell: Cell;
  readonly send: readonly [number, number];
  readonly receive: readonly [number, number];
}

const problems: string[] = [];
const rows: Row[] = [];
const isChosen = ({ name }: { readonly name: string }): boolean =>
  values.only === undefined || values.only.every((word) => name.includes(word));
const chosen = cells().filter(isChosen);
// Those that keep the processors busy come alone.
await workOff(
  chosen.filter((cell) => cell.delay === 0),
  1,
);
await workOff(
  chosen.filter((cell) => cell.delay > 0),
  JOBS,
);

if (rows.length > 0) summarize();
await workOff(wires().filter(isChosen), 1);
if (isChosen({ name: "connections" })) await manyConnections();
if (isChosen({ name: "clients" }) && !values.kernel) await clients();
if (!values.kernel) await unix();
for (const problem of problems) console.log(problem);
console.log(`${problems.length} problems`);
process.exit(problems.length === 0 ? 0 : 1);

/** For each family and MTU, then for all: how many ratios, their geometric mean, the least. */
function summarize(): void {
  const sizeOf = ({ mtu, family }: Cell): string => `MTU ${mtu}, IPv${family}`;
  const sizes = new Set(rows.map(({ cell }) => sizeOf(cell)));
  for (const size of sizes)
    print(
      rows.filter(({ cell }) => sizeOf(cell) === size),
      size,
    );
  if (sizes.size > 1) print(rows, "all");
  function print(some: readonly Row[], name: string): void {
    const ratios = some.flatMap(({ send, receive }) => [send, receive]).map(([kernel, own]) => own / kernel);
    const counted = ratios.filter((ratio) => ratio > 0 && Number.isFinite(ratio));
    const mean = Math.exp(counted.reduce((sum, ratio) => sum + Math.log(ratio), 0) / Math.max(1, counted.length));
    const few = ratios.filter((ratio) => ratio < 0.5).length;
    console.log(
      `${name}: geometric mean of ${counted.length} ratios ${mean.toFixed(2)}; least ${Math.min(...ratios).toFixed(2)}; ${few} below 0.5`,
    );
  }
}

/** Measures cells, `jobs` at a time, each on a path of its own. */
async function workOff(list: readonly Cell[], jobs: number): Promise<void> {
  const left = [...list];
  const worker = async (): Promise<void> => {
    if (left.length === 0) return;
    const path = await TcpPath.create();
    try {
      await path.serve("b", "kernel");
      for (let cell = left.shift(); cell !== undefined; cell = left.shift()) {
        const row = await measure(path, cell);
        rows.push(row);
        print(row);
      }
    } finally {
      await path.close();
    }
  };
  await Promise.all(Array.from({ length: jobs }, worker));
}

/** The kernel and the judged one alternate. Every second cell the judged one is the listener. */
async function measure(path: TcpPath, cell: Cell): Promise<Row> {
  await path.become(cell, cell.faults && { ...cell.faults, seed });
  const isListener = cells().findIndex((other) => other.name === cell.name) % 2 === 1;
  const rates: number[] = [];
  for (const host of ["kernel", judged] as const) {
    await path.use(host);
    const server = isListener ? await path.serve("a", host) : undefined;
    for (const isSending of [true, false]) {
      const kind = isSending !== isListener ? "put" : "get";
      const [part, program] = isListener ? (["b", "kernel"] as const) : (["a", host] as const);
      const outcome = await path.transfer(part, program, kind, { ms: measureMs(cell) }, PATIENCE_S);
      note(cell, `${host} ${isListener ? "listens" : "connects"} and ${isSending ? "sends" : "receives"}`, outcome);
      rates.push((outcome.bytes * 8) / 1000 / outcome.ms);
    }
    await server?.stop();
  }
  const [kernelSends = 0, kernelReceives = 0, ownSends = 0, ownReceives = 0] = rates;
  return { cell, send: [kernelSends, ownSends], receive: [kernelReceives, ownReceives] };
}

/** Begun by one side and by the other. */
async function manyConnections(): Promise<void> {
  const path = await TcpPath.create();
  try {
    await path.become({ family: 4, mtu: 1500 }, undefined);
    await path.serve("b", "kernel");
    for (const host of new Set<Host>(["kernel", judged])) {
      await path.use(host);
      for (const part of ["a", "b"] as const) {
        const server = part === "b" ? await path.serve("a", host) : undefined;
        for (const [how, count, bytes] of [
          ["row", IN_A_ROW, ROW_BYTES],
          ["together", AT_ONCE, TOGETHER_BYTES],
        ] as const) {
          const name = `${count} connections, ${how === "row" ? "one after the other" : "at once"}`;
          const what = `${host} ${part === "a" ? "connects" : "listens"}`;
          const tally = await path.many(part, part === "a" ? host : "kernel", how, count, bytes, MANY_PATIENCE_S);
          console.log(`${name.padEnd(42)} ${what.padEnd(16)} ${tally.good} good, ${(tally.ms / 1000).toFixed(1)} s`);
          problems.push(...tally.problems.map((problem) => `${name}: ${what}: ${problem}`));
        }
        await server?.stop();
      }
    }
  } finally {
    await path.close();
  }
}

/** Whole, what `npm test` takes every two of. */
async function clients(): Promise<void> {
  await build();
  await rowsOfTable("test/sim/served-table.test.ts", JOBS);
  await rowsOfTable("test/interop/server-matrix.test.ts", JOBS * WAITING_ROWS);
}

/** The rows of a table, shared by some programs. */
async function rowsOfTable(file: string, programs: number): Promise<void> {
  const start = performance.now();
  const shares = Array.from({ length: programs }, async (_, k) => {
    const child = Bun.spawn([process.execPath, "test", "--timeout", "180000", `./${file}`], {
      cwd: ROOT,
      env: { MORGANA: BINARY, ...process.env, TABLE: "whole", SHARD: `${k}/${programs}` },
      stdio: ["ignore", "ignore", "pipe"],
    });
    const [out, status] = await Promise.all([new Response(child.stderr).text(), child.exited]);
    const counts = summary(out);
    if (counts === undefined || (status !== 0 && counts.failed === 0))
      problems.push(`${file}: ended with status ${status}:\n${out.slice(-2000)}`);
    const failed = failedTests(out).map((line) => `${file}: ${line}`);
    if (failed.length > 0) console.log(out.replace(/^\(pass\) .*\n/gm, ""));
    problems.push(...failed);
    return counts?.passed ?? 0;
  });
  const passed = (await Promise.all(shares)).reduce((sum, count) => sum + count, 0);
  console.log(`${file}: ${passed} rows passed, ${((performance.now() - start) / 1000).toFixed(0)} s`);
}

/** Our client and our server on the kernel of a host, each with the real one as the other end. */
async function unix(): Promise<void> {
  // There is no other user in a user namespace.
  const possible = unixCells().filter(({ user }) => user !== "plain user" || !inUserNamespace());
  const wanted = possible.filter((cell) => isChosen({ name: `unix ${unixCellName(cell)}` }));
  if (wanted.length === 0) return;
  const matrix = await UnixMatrix.create();
  try {
    console.log(`${"our end on the kernel of a host".padEnd(44)} pings  download, s  host as before`);
    for (const cell of wanted) {
      const { pings, sent, seconds, isAsBefore, problems: found } = await matrix.run(cell);
      const numbers = `${`${pings}/${sent}`.padStart(5)}  ${seconds.toFixed(2).padStart(11)}`;
      console.log(
        `${unixCellName(cell).padEnd(44)} ${numbers}  ${isAsBefore ? "yes" : "no"}${found.length > 0 ? "  FAILED" : ""}`,
      );
      problems.push(...found.map((problem) => `unix ${unixCellName(cell)}: ${problem}`));
    }
  } finally {
    await matrix.close();
  }
}

function note(cell: Cell, what: string, { problem }: Outcome): void {
  if (problem !== undefined) problems.push(`${cell.name}: ${what}: ${problem}`);
}

function print({ cell, send, receive }: Row): void {
  const part = ([kernel, own]: readonly [number, number]): string =>
    `${kernel.toFixed(2).padStart(9)} ${own.toFixed(2).padStart(9)} ${(own / kernel).toFixed(2).padStart(6)}`;
  console.log(`${cell.name.padEnd(54)} sends ${part(send)}   receives ${part(receive)}`);
}
