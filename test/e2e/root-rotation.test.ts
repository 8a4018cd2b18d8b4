/**
 * The built-in workload root is replaced on request, under load and with two replicas of the controller, taken back after the
 * switch, and replaced after all: no request is lost, and what new connections are shown tells who signs.
 */
import assert from 'node:assert/strict';
import type { X509Certificate } from 'node:crypto';
import { readCertificates } from '#certificates/pem.ts';
import { eventually } from '#test/support/eventually.ts';
import { lab, type MeshCondition } from './support/lab.ts';
import { allProtocolsServer, namespace } from './support/manifests.ts';
import { describeSights, type Peer, type PeerWatch, peerOf, watchPeers } from './support/peers.ts';
import { assertSteadyUntilEnd, type SteadyLoad, steadyLoad } from './support/steady-load.ts';

const NS = 'root-rotation';
const MESH = ['meshconfig', 'osm-mesh-config', '-n', 'osm-system'];
/** Nobody loses its stream here: what a step waits for need not be so for long. */
const WAITS = ['OSM_TEST_ROOT_SWITCH_SECONDS=2', 'OSM_TEST_ROOT_RETIRE_SECONDS=2', 'OSM_TEST_CA_ASK_SECONDS=1'];
/** Calls a second: a machine that does nothing else makes three times as many. */
const FLOOR = { http: 100, tcp: 20 };
const ANNOTATION = 'openservicemesh.io/rotate-workload-ca';

describe('rotation of the built-in workload root under constant load', () => {
  const roots = new Map<string, X509Certificate>();
  const loads: SteadyLoad[] = [];
  const told: string[] = [];
  let watch: PeerWatch;
  let peers: readonly Peer[];

  before(async () => {
    await lab.meshIsUp();
    await lab.kubectl(['set', 'env', '-n', 'osm-system', 'deployment/osm-operator', ...WAITS]);
    await lab.apply([namespace(NS, true)]);
    await lab.apply(['server', 'client'].flatMap((name) => allProtocolsServer({ namespace: NS, name })));
    await Promise.all([lab.rolledOut(NS, 'server', 'client'), lab.rolledOut('osm-system', 'osm-operator')]);
    await lab.setPermissive(true);
    peers = await Promise.all(['server', 'client'].map((name) => peerOf(NS, name)));
    roots.set('old', await rootAt('ca.crt'));
    await eventually('the client reaches the server', async () => {
      return (await lab.curl(NS, 'client', 'http://server:8080/')).status === 200;
    });
    // Requests over kept-alive connections, and words over a new one each: a handshake between the two sidecars.
    loads.push(await steadyLoad(NS, 'client', 'http://server:8080/', { workers: 6, pauseMs: 15 }));
    loads.push(await steadyLoad(NS, 'client', 'tcp://server:7000', { workers: 3, pauseMs: 25 }));
    watch = watchPeers(peers, roots);
  });

  after(async () => {
    // What they saw has been judged by the last test: whatever it was, the cluster is left as it was found.
    await Promise.allSettled([watch?.stop(), ...loads.map((load) => load.stop())]);
    await lab.kubectl(['annotate', ...MESH, `${ANNOTATION}-`]);
    await lab.kubectl(['delete', 'namespace', NS, '--wait=false']);
    const unset = WAITS.map((setting) => setting.replace(/=.*/, '-'));
    await lab.kubectl(['set', 'env', '-n', 'osm-system', 'deployment/osm-operator', ...unset]);
    await lab.rolledOut('osm-system', 'osm-operator');
  });

  afterEach(async () => {
    for (const load of loads) await load.assertNoneLost();
  });

  it('on request, a new root signs once every sidecar has acknowledged it', async () => {
    assert.match((await condition()).reason, /^(Off|NotRotating)$/);
    await ask(`first-${Date.now()}`);
    roots.set('new', await eventually('a new root stands by', () => rootAt('standby.crt')));
    await shownBy('new');
    assert.equal((await rootAt('ca.crt')).fingerprint256, roots.get('new')?.fingerprint256);
    assert.equal((await rootAt('standby.crt')).fingerprint256, roots.get('old')?.fingerprint256, 'it could go back');
  });

  it('taken back after the switch, the old root signs again', async () => {
    await ask('back');
    await shownBy('old');
    assert.equal((await condition()).reason, 'TakingBack');
  });

  it('asked for again, it goes its whole way while every replica of the controller is replaced, and one root is left', async () => {
    await ask(`second-${Date.now()}`);
    await lab.kubectl(['rollout', 'restart', '-n', 'osm-system', 'deployment/osm-controller']);
    await lab.rolledOut('osm-system', 'osm-controller');
    await shownBy('new');
    await eventually('the rotation is over', async () => (await condition()).status === 'False', {
      state,
      everyMs: 250,
    });
    const secret = await secretData();
    assert.deepEqual(Object.keys(secret).toSorted(), ['ca.crt', 'private.key']);
    assert.equal((await rootAt('ca.crt')).fingerprint256, roots.get('new')?.fingerprint256);
    for (const reason of ['AddingRoot', 'RetiringFormerRoot', 'TakingBack'])
      assert.ok(told.includes(reason), told.join());
  });

  it('each handshake was answered, by a certificate of one of the two', async () => {
    await watch.stop();
    assert.deepEqual(watch.failures, []);
    const signers = new Set(watch.sights.map(({ root }) => root));
    assert.deepEqual([...signers].toSorted(), ['new', 'old'], describeSights(watch.sights));
    console.log(`      ${watch.sights.length} handshakes`);
    await assertSteadyUntilEnd(loads, FLOOR);
  });

  async function secretData(): Promise<Record<string, string>> {
    return (await lab.json<{ data: Record<string, string> }>(['get', 'secret', '-n', 'osm-system', 'osm-ca-bundle']))
      .data;
  }

  /** Rejects while there is none. */
  async function rootAt(key: string): Promise<X509Certificate> {
    const [root] = readCertificates(Buffer.from((await secretData())[key] ?? '', 'base64').toString());
    if (root === undefined) throw new Error(`Secret osm-ca-bundle holds no ${key}`);
    return root;
  }

  async function ask(value: string): Promise<void> {
    await lab.kubectl(['annotate', ...MESH, '--overwrite', `${ANNOTATION}=${value}`]);
  }

  async function condition(): Promise<MeshCondition> {
    const found = await lab.meshCondition('WorkloadRootRotating');
    if (found.reason !== told.at(-1)) told.push(found.reason);
    return found;
  }

  const state = async (): Promise<string> =>
    `${told.join(', ')}: ${(await condition()).message}\n${describeSights(watch.sights)}`;

  /** Waits until the last sight of each peer is so. */
  async function shownBy(root: string): Promise<void> {
    const last = ({ name }: Peer) => watch.sights.findLast(({ peer }) => peer === name);
    const look = async (): Promise<boolean> => {
      await condition();
      return peers.every((peer) => last(peer)?.root === root);
    };
    await eventually(`certificates by the ${root} root`, look, { state });
  }
});
