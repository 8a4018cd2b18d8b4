/**
 * `node dataplane-load.ts ADDRESS PORT HOST PATH RATE SECONDS CONNECTIONS`: an open-loop HTTP/1.1 load, whose result is
 * printed as one line of JSON. Requests start when they are due, not when the last one is answered, so a slow answer delays
 * no other; one that finds no free connection waits, and its wait counts.
 *
 * It speaks to sockets directly: Node's HTTP client would take longer for a request than the two proxies together.
 */
import { once } from 'node:events';
import { type Socket, connect } from 'node:net';

export interface LoadResult {
  /** Microseconds of each request that was answered with 200, in the order of the answers. */
  readonly latencies: readonly number[];
  readonly failures: number;
}

interface Connection {
  readonly socket: Socket;
  received: string;
  started: number;
}

const [address = '', port = '', host = '', path = '', rate = '', seconds = '', connections = ''] =
  process.argv.slice(2);
const request = `GET ${path} HTTP/1.1\r\nhost: ${host}\r\n\r\n`;
const total = Number(rate) * Number(seconds);
const spacing = 1000 / Number(rate);

const latencies: number[] = [];
let failures = 0;
let done = (): void => undefined;
const waiting: number[] = [];
const free: Connection[] = [];

for (let index = 0; index < Number(connections); index += 1) {
  const socket = connect(Number(port), address).setNoDelay(true).setEncoding('latin1');
  await once(socket, 'connect');
  const connection: Connection = { socket, received: '', started: 0 };
  socket.on('data', (text: string) => receive(connection, text));
  socket.on('error', () => socket.destroy());
  socket.on('close', () => {
    console.error('a connection was closed');
    process.exit(1);
  });
  free.push(connection);
}

/** An answer is whole when its head and as many bytes as it announces are there. */
function receive(connection: Connection, text: string): void {
  connection.received += text;
  const head = connection.received.indexOf('\r\n\r\n');
  if (head < 0) return;
  const length = Number(/^content-length: (\d+)/im.exec(connection.received.slice(0, head))?.[1] ?? 0);
  if (connection.received.length < head + 4 + length) return;
  const elapsed = performance.now() - connection.started;
  if (connection.received.startsWith('HTTP/1.1 200 ')) latencies.push(Math.round(elapsed * 1000));
  else failures += 1;
  connection.received = '';
  const due = waiting.shift();
  if (due !== undefined) send(connection, due);
  else free.push(connection);
  if (latencies.length + failures === total) done();
}

function send(connection: Connection, due: number): void {
  connection.started = due;
  connection.socket.write(request);
}

const finished = new Promise<void>((resolve) => (done = resolve));
const begun = performance.now();
let sent = 0;
/** Timers fire on whole milliseconds: a request counts from when its turn was seen, which no proxy can change. */
const pacer = setInterval(() => {
  const now = performance.now();
  while (sent < total && begun + sent * spacing <= now) {
    sent += 1;
    // The connection that was idle longest, so that all stay warm.
    const connection = free.shift();
    if (connection === undefined) waiting.push(now);
    else send(connection, now);
  }
  if (sent === total) clearInterval(pacer);
}, 1);
await finished;
process.stdout.write(`${JSON.stringify({ latencies, failures } satisfies LoadResult)}\n`);
process.exit(0);
