/**
 * The key claim of long-lived connections: what does not concern a TCP connection never cuts it. The outbound listener comes
 * as a file that Envoy watches, routes inlined; the listener is bound to the addresses that it matches, as in
 * envoy-traffic.test.ts.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type Server, type Socket, connect, createServer } from 'node:net';
import type { OutboundTcpService, OutboundView } from '#mesh/view.ts';
import { type RunningEnvoy, freePort, loopback, startEnvoy } from '#test/support/envoy.ts';
import { eventually } from '#test/support/eventually.ts';
import { inboundView, outboundView, virtualHost } from '#test/support/views.ts';
import { type WatchedListeners, watchedListeners } from '#test/support/watched-listeners.ts';
import { translateView } from '#xds/translate/translate.ts';

const SERVICE = '127.0.3.1';

describe('a held TCP connection and listener updates', function () {
  this.timeout(60_000);

  let envoy: RunningEnvoy;
  let server: Server;
  let listeners: WatchedListeners;
  let port = 0;
  let held: Socket;
  const heard: string[] = [];

  before(async () => {
    port = await freePort();
    listeners = await watchedListeners();
    server = createServer((socket) => socket.on('error', () => undefined).pipe(socket)).listen(port, '127.0.0.1');
    await once(server, 'listening');
    await listeners.publish(resources(outboundView({ tcpServices: [service()] })), { listenOn: listenOn() });
    envoy = await startEnvoy({
      node: { id: 'test', cluster: 'test' },
      dynamic_resources: { lds_config: listeners.ldsConfig },
      static_resources: {
        clusters: ['db', 'other'].map((name) => ({
          name,
          type: 'STATIC',
          load_assignment: {
            cluster_name: name,
            endpoints: [{ lb_endpoints: [{ endpoint: { address: loopback(port) } }] }],
          },
        })),
      },
    });
    held = connect(port, SERVICE);
    held.setEncoding('utf8').on('data', (text: string) => heard.push(text));
    await once(held, 'connect');
  });

  after(async () => {
    held?.destroy();
    await envoy?.stop();
    server?.close();
    await listeners?.remove();
  });

  function service(more: Partial<OutboundTcpService> = {}): OutboundTcpService {
    const backends = [{ cluster: 'db', weight: 1 }];
    return { key: 'db', name: 'shop/db:1', port, addresses: [SERVICE], backends, ...more };
  }

  const neighbour = (name: string, addresses: readonly string[]): OutboundTcpService =>
    service({
      key: name,
      name: `shop/${name}:1`,
      port: port - 1,
      addresses,
      backends: [{ cluster: 'other', weight: 1 }],
    });

  const listenOn = () => ({ outbound: [{ address: SERVICE, port }] });
  const resources = (outbound: OutboundView) => translateView({ outbound, inbound: inboundView() });

  const update = (view: OutboundView): Promise<void> =>
    listeners.update(envoy, resources(view), { listenOn: listenOn() });

  /** Waits until no filter chain or listener is draining any more: what an update would cut is cut by then. */
  async function drained(): Promise<void> {
    await eventually(
      'the drain ends',
      async () =>
        (await envoy.stat('listener_manager.total_filter_chains_draining')) === 0 &&
        (await envoy.stat('listener_manager.total_listeners_draining')) === 0,
      { deadlineMs: 20_000, everyMs: 100 },
    );
  }

  async function echo(word: string): Promise<void> {
    held.write(word);
    await eventually(`the held connection says ${word}`, () => Promise.resolve(heard.join('').endsWith(word)), {
      deadlineMs: 5000,
      everyMs: 10,
    });
  }

  it('survives a dozen updates of other services, addresses and policies', async () => {
    await echo('start.');
    const more = (count: number): string[] => Array.from({ length: count }, (_, index) => `127.0.4.${index + 1}`);
    const httpPort = {
      port: port - 2,
      addresses: [SERVICE],
      routes: { key: 'r', name: 'outbound.80', virtualHosts: [virtualHost('web', 80, 'other')] },
    };
    const views: Partial<OutboundView>[] = [
      { tcpServices: [service(), neighbour('a', [SERVICE])] },
      { tcpServices: [service(), neighbour('a', more(3))] },
      { tcpServices: [service(), neighbour('a', more(1)), neighbour('b', [SERVICE])] },
      { tcpServices: [neighbour('b', [SERVICE]), service()] },
      { tcpServices: [service()] },
      { tcpServices: [service()], httpPorts: [httpPort] },
      { tcpServices: [service()], httpPorts: [{ ...httpPort, addresses: more(20) }] },
      { tcpServices: [service()], closedTcp: [{ reason: 'not-allowed', port, addresses: more(2) }] },
      {
        tcpServices: [service()],
        closedTcp: [{ reason: 'not-allowed', port, addresses: more(9) }],
        unknownDestinations: 'passthrough',
      },
      { tcpServices: [service({ addresses: [SERVICE, ...more(5)] })] },
      { tcpServices: [service({ addresses: more(5) })] },
      { tcpServices: [service()] },
    ];
    for (const [index, view] of views.entries()) {
      await update(outboundView(view));
      await echo(`after ${index}.`);
    }
    await drained();
    await echo('still there.');
    assert.equal(await envoy.stat('cluster.db.upstream_cx_total'), 1, 'the connection is the first one still');
    assert.equal(held.destroyed, false);
  });

  it('is cut by a change of its own chain, so this test can fail', async () => {
    const closed = once(held, 'close');
    await update(outboundView({ tcpServices: [service({ backends: [{ cluster: 'other', weight: 1 }] })] }));
    await closed;
  });
});
