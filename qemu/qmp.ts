/** QEMU's machine protocol, as far as it is needed: one command, one answer (QEMU docs/interop/qmp-spec). */

/** QEMU answers between two pieces of the guest's work; longer means that it hangs. */
const ANSWER_MS = 30_000;

/** Runs one command. @throws Error when QEMU refuses it or does not answer */
export async function qmp(path: string, execute: string, args: Record<string, unknown> = {}): Promise<unknown> {
  const answer = Promise.withResolvers<unknown>();
  let text = "";
  const fail = (problem: string): void => answer.reject(new Error(`QMP ${execute}: ${problem}`));
  const socket = await Bun.connect({
    unix: path,
    socket: {
      data(peer, chunk) {
        text += chunk.toString();
        for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
          const message: unknown = JSON.parse(text.slice(0, end));
          text = text.slice(end + 1);
          if (typeof message !== "object" || message === null) continue;
          if ("QMP" in message) send(peer, { execute: "qmp_capabilities", id: "greet" });
          else if ("error" in message) fail(JSON.stringify(message.error));
          else if (!("return" in message && "id" in message)) continue;
          else if (message.id === "greet") send(peer, { execute, arguments: args, id: "command" });
          else answer.resolve(message.return);
        }
      },
      close: () => fail("QEMU closed the connection"),
      error: (_peer, error) => fail(error.message),
    },
  });
  const timer = setTimeout(() => fail("no answer"), ANSWER_MS);
  try {
    return await answer.promise;
  } finally {
    clearTimeout(timer);
    socket.end();
  }
}

function send(peer: { write(text: string): number }, message: unknown): void {
  peer.write(`${JSON.stringify(message)}\n`);
}
