/** A TCP host that is the Linux kernel of this namespace: `bun kernel-host.ts COMMAND` (program.ts). */
import type { Socket } from "bun";
import { runCommand, type Transport } from "./program.ts";
import type { Handlers, Stream } from "./transfer.ts";

interface Held {
  handlers: Handlers;
}

const events = {
  open(socket: Socket<Held>): void {
    socket.setNoDelay(true);
    const stream: Stream = {
      write: (bytes) => Math.max(0, socket.write(bytes)),
      end: () => void socket.shutdown(),
      abort: () => void socket.terminate(),
    };
    socket.data.handlers.opened(stream);
  },
  data(socket: Socket<Held>, bytes: Buffer): void {
    socket.data.handlers.data(bytes);
  },
  drain(socket: Socket<Held>): void {
    socket.data.handlers.writable();
  },
  end(socket: Socket<Held>): void {
    socket.data.handlers.ended();
  },
  close(socket: Socket<Held>, error?: Error): void {
    // Where both directions are closed Bun tells of the end alone.
    if (error === undefined) socket.data.handlers.ended();
    socket.data.handlers.closed(error?.message);
  },
  error(socket: Socket<Held>, error: Error): void {
    socket.data.handlers.closed(error.message);
  },
  connectError(socket: Socket<Held>, error: Error): void {
    socket.data.handlers.closed(error.message);
  },
};

const transport: Transport = {
  listen(port, accept) {
    const held = (socket: Socket<Held>): void => {
      socket.data = { handlers: accept() };
      events.open(socket);
    };
    Bun.listen<Held>({ hostname: "::", port, allowHalfOpen: true, socket: { ...events, open: held } });
  },
  connect(host, port, handlers) {
    const socket = { ...events };
    Bun.connect<Held>({ hostname: host, port, allowHalfOpen: true, data: { handlers }, socket }).catch((error: Error) =>
      handlers.closed(error.message),
    );
  },
};

await runCommand(transport, process.argv.slice(2));
process.exit(0);
