/**
 * How a real API server reaches webhooks by their Service where there is no network of services: it is told to dial by way
 * of a proxy (`--egress-selector-config-file`), and that one passes each connection on to an address of the test's.
 */
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Egress {
  /** For kube-apiserver. */
  readonly flags: readonly string[];
  /** Connections so far. */
  readonly connections: number;
  /** Ends every connection and resolves when the API server has let go of them: the next call makes a new one. */
  drop(): Promise<void>;
  stop(): Promise<void>;
}

/** `target` is asked for each connection where it goes; `port` is the Service's. */
export async function startEgress(target: (port: number) => { host: string; port: number }): Promise<Egress> {
  const directory = await mkdtemp(join(tmpdir(), 'osm-egress-'));
  const [path, config] = [join(directory, 'proxy.sock'), join(directory, 'egress.yaml')];
  await writeFile(
    config,
    JSON.stringify({
      apiVersion: 'apiserver.k8s.io/v1beta1',
      kind: 'EgressSelectorConfiguration',
      egressSelections: [
        {
          name: 'cluster',
          connection: { proxyProtocol: 'HTTPConnect', transport: { uds: { udsName: path } } },
        },
      ],
    }),
  );
  const open = new Set<Socket>();
  let connections = 0;
  const proxy = createServer();
  proxy.on('connect', (request, stream) => {
    const incoming = stream as Socket;
    connections += 1;
    open.add(incoming);
    incoming.on('close', () => open.delete(incoming));
    const outgoing = connect(target(Number(request.url?.split(':').at(-1))));
    for (const socket of [incoming, outgoing]) socket.on('error', () => undefined);
    outgoing.on('close', () => incoming.destroy());
    incoming.on('close', () => outgoing.destroy());
    outgoing.once('connect', () => {
      incoming.write('HTTP/1.1 200 Connection established\r\n\r\n');
      incoming.pipe(outgoing).pipe(incoming);
    });
  });
  proxy.listen(path);
  await once(proxy, 'listening');
  return {
    flags: [`--egress-selector-config-file=${config}`],
    get connections() {
      return connections;
    },
    async drop() {
      await Promise.all(
        [...open].map(async (socket) => {
          const closed = once(socket, 'close');
          socket.end();
          await closed;
        }),
      );
    },
    async stop() {
      for (const socket of open) socket.destroy();
      proxy.close();
      await rm(directory, { recursive: true });
    },
  };
}
