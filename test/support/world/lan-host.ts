/**
 * What the LAN host tries: `bun lan-host.ts VERB HOST [...]`, one line of JSON on stdout.
 *   download HOST BYTES COUNT   COUNT downloads at once: {ok, seconds}
 *   upload HOST BYTES COUNT     one after the other, judged by the far end's digest: {ok}
 *   echo HOST SIZE...           UDP datagrams without DF, echoed: {ok, failed}
 *   pmtu HOST SIZE              UDP datagrams with DF until one is echoed, the size following the kernel's path MTU: {mtu, echoed}
 *   flows HOST UDP TCP          that many at once: {udp, tcp}
 *   refused HOST                a closed UDP and a closed TCP port: {udp, tcp}
 *   ask HOST...                 a DNS question to each, no answer awaited
 */
import { content, digest } from "./content.ts";
import { ECONNREFUSED, EMSGSIZE, PMTUDISC_DO, PMTUDISC_DONT, UdpSocket } from "./sockets.ts";

const [verb, host = "", ...rest] = process.argv.slice(2);
const numbers = rest.map(Number);
const base = `http://${host}:8080`;

const verbs: Record<string, () => Promise<unknown> | unknown> = { download, upload, echo, pmtu, flows, refused, ask };
console.log(JSON.stringify(await verbs[verb ?? ""]!()));
process.exit(0);

async function download() {
  const [bytes = 0, count = 1] = numbers;
  const want = digest(content(bytes));
  const start = performance.now();
  const failed: string[] = [];
  const one = async () => {
    try {
      const hash = new Bun.CryptoHasher("sha256");
      const response = await fetch(`${base}/bytes/${bytes}`, { keepalive: false });
      for await (const part of response.body!) hash.update(part);
      if (hash.digest("hex") !== want) failed.push("wrong digest");
    } catch (error) {
      failed.push(String(error));
    }
  };
  await Promise.all(Array.from({ length: count }, one));
  return { ok: count - failed.length, seconds: (performance.now() - start) / 1000, failed };
}

async function upload() {
  const [bytes = 0, count = 1] = numbers;
  const want = digest(content(bytes));
  let ok = 0;
  for (let i = 0; i < count; i++) {
    const response = await fetch(`${base}/digest`, { method: "POST", body: content(bytes), keepalive: false });
    if ((await response.text()) === want) ok++;
  }
  return { ok };
}

function echo() {
  const socket = new UdpSocket(PMTUDISC_DONT);
  socket.connect(host, 7);
  const failed: number[] = [];
  for (const size of numbers) {
    const data = content(size);
    socket.send(data);
    const got = socket.receive();
    if (typeof got === "number" || Buffer.compare(got.data, data) !== 0) failed.push(size);
  }
  return { ok: numbers.length - failed.length, failed };
}

function pmtu() {
  const socket = new UdpSocket(PMTUDISC_DO, 1);
  socket.connect(host, 7);
  let size = numbers[0]!;
  for (let i = 0; i < 8; i++) {
    const sent = socket.send(content(size));
    const got = sent < 0 ? sent : socket.receive();
    if (typeof got !== "number") return { mtu: socket.pathMtu, echoed: got.data.length };
    if (got === -EMSGSIZE || sent < 0) size = socket.pathMtu - 28;
  }
  return { mtu: socket.pathMtu, echoed: 0 };
}

async function flows() {
  const [udpCount = 0, tcpCount = 0] = numbers;
  const sockets: UdpSocket[] = [];
  let udp = 0;
  for (let i = 0; i < udpCount; i++) {
    const socket = new UdpSocket(PMTUDISC_DONT);
    socket.connect(host, 7);
    sockets.push(socket);
  }
  for (const socket of sockets) {
    socket.send(content(4));
    if (typeof socket.receive() !== "number") udp++;
  }
  let tcp = 0;
  const open = Array.from({ length: tcpCount }, () => connection(() => tcp++));
  const all = await Promise.all(open);
  for (const socket of all) socket?.write("GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const end = performance.now() + 45_000;
  while (tcp < tcpCount && performance.now() < end) await Bun.sleep(20);
  return { udp, tcp };
}

async function connection(answered: () => void): Promise<Bun.Socket | undefined> {
  let text = "";
  try {
    return await Bun.connect({
      hostname: host,
      port: 8080,
      socket: {
        data(_, chunk) {
          const before = text.includes("pong");
          text += chunk.toString();
          if (!before && text.includes("pong")) answered();
        },
      },
    });
  } catch {
    return undefined; // counted as not answered
  }
}

async function refused() {
  const socket = new UdpSocket(PMTUDISC_DONT);
  socket.connect(host, 9);
  socket.send(content(1));
  const udp = socket.receive() === -ECONNREFUSED;
  let tcp = false;
  try {
    (await Bun.connect({ hostname: host, port: 9, socket: { data() {} } })).end();
  } catch (error) {
    tcp = (error as { code?: string }).code === "ECONNREFUSED";
  }
  return { udp, tcp };
}

function ask() {
  const question = Uint8Array.from([
    0,
    7,
    1,
    0,
    0,
    1,
    0,
    0,
    0,
    0,
    0,
    0,
    4,
    ...Buffer.from("leak"),
    4,
    ...Buffer.from("test"),
    0,
    0,
    1,
    0,
    1,
  ]);
  for (const server of [host, ...rest]) {
    const socket = new UdpSocket(PMTUDISC_DONT);
    socket.connect(server, 53);
    socket.send(question);
    socket.close();
  }
  return {};
}
