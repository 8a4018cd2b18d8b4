import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A TCP proxy on loopback that a test can break. TLS passes through it unread. */
export interface Proxy {
  readonly port: number;
  /** Lets this many more bytes of answers pass in all, then cuts every connection, once. Resolves when that happened. */
  cutAfter(bytes: number): Promise<void>;
  /** Connections stay open, and nothing passes. */
  freeze(): void;
  thaw(): void;
  /** Cuts all connections and takes no new one. */
  refuse(): void;
  accept(): void;
  stop(): Promise<void>;
}

/** Stands before `port` of 127.0.0.1, or of another address. */
export async function startProxy(port: number, host = '127.0.0.1'): Promise<Proxy> {
  const sockets = new Set<Socket>();
  let refusing = false;
  let frozen = false;
  let budget: { left: number; done: () => void } | undefined;
  const cutAll = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const listener = createServer((incoming) => {
    if (refusing) {
      incoming.destroy();
      return;
    }
    const outgoing = connect(port, host);
    for (const [from, to] of [
      [incoming, outgoing],
      [outgoing, incoming],
    ] as const) {
      sockets.add(from);
      from.on('error', () => undefined);
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
    incoming.on('data', (chunk: Buffer) => !frozen && outgoing.write(chunk));
    outgoing.on('data', (chunk: Buffer) => {
      if (frozen) return;
      if (budget !== undefined && (budget.left -= chunk.length) <= 0) {
        incoming.write(chunk.subarray(0, chunk.length + budget.left));
        const { done } = budget;
        budget = undefined;
        setImmediate(() => {
          cutAll();
          done();
        });
        return;
      }
      incoming.write(chunk);
    });
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  return {
    port: (listener.address() as AddressInfo).port,
    cutAfter: (left) => new Promise((done) => (budget = { left, done })),
    freeze: () => void (frozen = true),
    thaw() {
      frozen = false;
      cutAll(); // bytes were lost: no connection of before makes sense any more
    },
    refuse() {
      refusing = true;
      cutAll();
    },
    accept: () => void (refusing = false),
    async stop() {
      cutAll();
      listener.close();
      await once(listener, 'close');
    },
  };
}
