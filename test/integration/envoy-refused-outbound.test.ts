/** A connection that a sidecar closes to its own application leaves one line that says why, and one that it lets go leaves none. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type Server, connect, createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import type { OutboundView } from '#mesh/view.ts';
import { type RunningEnvoy, freePort, startEnvoy } from '#test/support/envoy.ts';
import { eventually } from '#test/support/eventually.ts';
import { staticBootstrap } from '#test/support/static-config.ts';
import { inboundView, outboundView } from '#test/support/views.ts';
import { translateView } from '#xds/translate/translate.ts';

const DENIED = '127.0.11.1';
const EMPTY = '127.0.11.2';
const UNUSABLE = '127.0.11.3';
const UNKNOWN = '127.0.11.4';
const PATIENCE_MS = 5_000;

describe('connections that a sidecar closes to its own application', function () {
  this.timeout(30_000);

  const envoys: RunningEnvoy[] = [];
  let elsewhere: Server;
  let port = 0;

  before(async () => {
    port = await freePort();
    // What `passthrough` reaches: no address of the mesh.
    elsewhere = createServer((socket) => socket.end('hello\n')).listen(0, '127.0.0.1');
    await once(elsewhere, 'listening');
  });

  after(async () => {
    elsewhere.close();
    await Promise.all(envoys.map((it) => it.stop()));
  });

  async function sidecar(unknownDestinations: OutboundView['unknownDestinations']): Promise<RunningEnvoy> {
    const outbound = outboundView({
      closedTcp: [
        { reason: 'no-backend', port, addresses: [EMPTY] },
        { reason: 'not-allowed', port, addresses: [DENIED] },
        { reason: 'port-unusable', port, addresses: [UNUSABLE] },
      ],
      unknownDestinations,
    });
    const listenOn = [DENIED, EMPTY, UNUSABLE, UNKNOWN].map((address) => ({ address, port }));
    const bootstrap = staticBootstrap(translateView({ inbound: inboundView(), outbound }), {
      listenOn: { outbound: listenOn },
    });
    const envoy = await startEnvoy(towards(bootstrap));
    envoys.push(envoy);
    return envoy;
  }

  /** Nothing redirects here, so what passes through would come back to the sidecar: it goes to `elsewhere` instead. */
  function towards(bootstrap: Parameters<typeof startEnvoy>[0]): Parameters<typeof startEnvoy>[0] {
    const { clusters, ...others } = bootstrap['static_resources'] as { clusters: { name: string }[] };
    const { port: at } = elsewhere.address() as { port: number };
    const address = { socket_address: { address: '127.0.0.1', port_value: at } };
    const passthrough = {
      name: 'passthrough',
      type: 'STATIC',
      load_assignment: { cluster_name: 'passthrough', endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
    };
    const rest = clusters.filter(({ name }) => name !== 'passthrough');
    return { ...bootstrap, static_resources: { ...others, clusters: [...rest, passthrough] } };
  }

  async function call(address: string): Promise<{ from: number; heard: string }> {
    const socket = connect(port, address);
    await once(socket, 'connect');
    const from = socket.localPort ?? 0;
    socket.setTimeout(PATIENCE_MS, () => socket.destroy(new Error('not closed in time')));
    return { from, heard: await text(socket) };
  }

  async function lines(envoy: RunningEnvoy, count: number): Promise<Record<string, unknown>[]> {
    const seen = await eventually(
      `${count} lines`,
      async () => {
        const complete = envoy.output().split('\n').slice(0, -1);
        return complete.length >= count && complete;
      },
      { deadlineMs: PATIENCE_MS, everyMs: 50 },
    );
    assert.equal(seen.length, count, seen.join('\n'));
    return seen.map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  it('one line each says the reason, the address and port that were called, and who called', async () => {
    const envoy = await sidecar('close');
    const expected = [
      [DENIED, 'not-allowed'],
      [EMPTY, 'no-backend'],
      [UNUSABLE, 'port-unusable'],
      [UNKNOWN, 'egress-off'],
    ] as const;
    for (const [index, [address, reason]] of expected.entries()) {
      const { from, heard } = await call(address);
      assert.equal(heard, '');
      const { start_time: at, ...line } = (await lines(envoy, index + 1))[index] ?? {};
      assert.ok(Math.abs(Date.parse(String(at)) - Date.now()) < 60_000, String(at));
      assert.deepEqual(line, {
        reason,
        downstream_remote_address: `127.0.0.1:${from}`,
        downstream_local_address: `${address}:${port}`,
      });
    }
  });

  it('what passes leaves none', async () => {
    await envoys.pop()?.stop();
    const envoy = await sidecar('passthrough');
    assert.equal((await call(UNKNOWN)).heard, 'hello\n');
    await call(DENIED); // lines are written in the order in which connections end
    const [line] = await lines(envoy, 1);
    assert.equal(line?.['reason'], 'not-allowed');
  });
});
