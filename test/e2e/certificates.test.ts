/**
 * Every certificate of the mesh is replaced under load, and no request is lost: workload certificates that live a minute, a root
 * that is rotated, taken back half-way and rotated again while the controller restarts, another trust domain, and meanwhile the
 * control plane's own authority. Each step is seen in what new connections are shown, and in which client certificates are taken.
 *
 * One walk in several tests, in this order: each stands on the one before.
 */
import assert from 'node:assert/strict';
import type { X509Certificate } from 'node:crypto';
import { eventually } from '#test/support/eventually.ts';
import { type Admissions, watchAdmissions } from './support/admissions.ts';
import { rootIn, type Signer } from './support/certificates.ts';
import { lab, type MeshCondition } from './support/lab.ts';
import { allProtocolsServer, namespace, workload } from './support/manifests.ts';
import {
  allShow,
  answerTo,
  describeSights,
  type Peer,
  peerOf,
  type PeerWatch,
  type Sight,
  watchPeers,
} from './support/peers.ts';
import { type Updates, updatesOf, updatesSince } from './support/sidecar-stats.ts';
import { assertSteadyUntilEnd, type SteadyLoad, steadyLoad } from './support/steady-load.ts';

const NS = 'certificates';
const CLIENT = `${NS}/client`;
const MESH = ['meshconfig', 'osm-mesh-config', '-n', 'osm-system'];
const LIFETIME_MS = 60_000;
/** Calls a second: a machine that does nothing else makes three times as many. */
const FLOOR = { http: 100, tcp: 20 };
/** For how long certificates live so shortly: each is renewed three times or more, beside what the steps replace. */
const SHORT_LIVED_MS = 180_000;
/** A certificate of a minute is renewed when at least 20 s of it are left; it is made and brought within the other half. */
const LEAST_LEFT_MS = 10_000;
/** A kubelet brings a changed ConfigMap or Secret within a minute and a half: no wait that trust needs can be shorter. */
const CA_WAITS = ['OSM_TEST_CA_TRUST_SECONDS=90', 'OSM_TEST_CA_RETIRE_SECONDS=30', 'OSM_TEST_CA_ASK_SECONDS=2'];
/** A root stays for half a minute after the last certificate that needed it. */
const NARROWED_MS = 90_000;

const old: Signer = { secret: 'osm-ca-bundle', trustDomain: 'cluster.local' };
const next: Signer = { secret: 'next-root', trustDomain: 'cluster.local' };
const moved: Signer = { secret: 'next-root', trustDomain: 'moved.example' };

type Role = 'active' | 'passive' | 'inactive';

/** Of two that are active the older signs; made within one second, the first by name. So `former` is the older in any case. */
function rootCertificate(name: string, { secret, trustDomain }: Signer, role: Role): object {
  return {
    apiVersion: 'config.openservicemesh.io/v1alpha2',
    kind: 'MeshRootCertificate',
    metadata: { name, namespace: 'osm-system' },
    spec: { role, trustDomain, provider: { tresor: { ca: { secretRef: { name: secret, namespace: 'osm-system' } } } } },
  };
}

describe('certificates under constant load', () => {
  const roots = new Map<string, X509Certificate>();
  const loads: SteadyLoad[] = [];
  let peers: readonly Peer[];
  let watch: PeerWatch;
  let admissions: Admissions;
  let caRotation: Promise<readonly string[]>;
  let signedByNext: number;

  before(async () => {
    await lab.meshIsUp();
    await lab.kubectl(['set', 'env', '-n', 'osm-system', 'deployment/osm-operator', ...CA_WAITS]);
    await lab.apply([namespace(NS, true)]);
    await lab.apply(['server', 'client'].flatMap((name) => allProtocolsServer({ namespace: NS, name })));
    await Promise.all([lab.rolledOut(NS, 'server', 'client'), lab.rolledOut('osm-system', 'osm-operator')]);
    await lab.setPermissive(true);
    peers = await Promise.all(['server', 'client'].map((name) => peerOf(NS, name)));
    roots.set('osm-ca-bundle', await rootIn('osm-ca-bundle'));
    await eventually('the client reaches the server', async () => {
      return (await lab.curl(NS, 'client', 'http://server:8080/')).status === 200;
    });
    // Requests over kept-alive connections, and words over a new one each: a handshake between the two sidecars.
    loads.push(await steadyLoad(NS, 'client', 'http://server:8080/', { workers: 6, pauseMs: 15 }));
    loads.push(await steadyLoad(NS, 'client', 'tcp://server:7000', { workers: 3, pauseMs: 25 }));
    watch = watchPeers(peers, roots);
    admissions = watchAdmissions(NS);
    caRotation = rotateControlPlaneCa();
    // It is awaited by the last test alone, and must not end the process before.
    caRotation.catch(() => undefined);
  });

  after(async () => {
    // What they saw has been judged by the last test: whatever it was, the cluster is left as it was found.
    await Promise.allSettled([watch?.stop(), admissions?.stop(), ...loads.map((load) => load.stop())]);
    await lab.kubectl(['delete', 'meshrootcertificates', '-n', 'osm-system', '--all']);
    await lab.patchMeshConfig({ spec: { certificate: { serviceCertValidityDuration: '24h' } } });
    await lab.kubectl(['delete', 'secret', '-n', 'osm-system', 'next-root', '--ignore-not-found']);
    await lab.kubectl(['delete', 'namespace', NS, '--wait=false']);
    const unset = CA_WAITS.map((setting) => setting.replace(/=.*/, '-'));
    await lab.kubectl(['set', 'env', '-n', 'osm-system', 'deployment/osm-operator', ...unset]);
    await lab.rolledOut('osm-system', 'osm-operator');
  });

  afterEach(async () => {
    for (const load of loads) await load.assertNoneLost();
  });

  it('a shorter lifetime takes effect at once', async () => {
    await lab.patchMeshConfig({ spec: { certificate: { serviceCertValidityDuration: '1m' } } });
    await shown(
      'certificates of a minute by the old root',
      ({ root, leftMs }) => root === old.secret && leftMs <= LIFETIME_MS,
    );
  });

  it('old active, new passive: both roots are trusted, the old one signs', async () => {
    const began = Date.now();
    await apply(rootCertificate('former', old, 'active'));
    await apply(rootCertificate('next', next, 'passive'));
    roots.set('next-root', await eventually('the new root is made', () => rootIn('next-root')));
    await accepted(next, true);
    await accepted(old, true);
    await Promise.all([said('former', 'True Signing'), said('next', 'True Trusted')]);
    alwaysSince(began, old);
  });

  it('both active, then old passive: the new one signs', async () => {
    await apply(rootCertificate('next', next, 'active'));
    await apply(rootCertificate('former', old, 'passive'));
    await shownBy(next);
    await Promise.all([accepted(next, true), accepted(old, true)]);
    await Promise.all([said('former', 'True Trusted'), said('next', 'True Signing')]);
  });

  it('taken back half-way: of two that are active the older one signs, and the new one is passive again', async () => {
    await apply(rootCertificate('former', old, 'active'));
    await shownBy(old);
    const began = Date.now();
    await apply(rootCertificate('next', next, 'passive'));
    await Promise.all([accepted(next, true), accepted(old, true)]);
    await Promise.all([said('former', 'True Signing'), said('next', 'True Trusted')]);
    alwaysSince(began, old);
  });

  it('forward again, while every replica of the controller is replaced', async () => {
    await apply(rootCertificate('former', old, 'passive'), rootCertificate('next', next, 'active'));
    await lab.kubectl(['rollout', 'restart', '-n', 'osm-system', 'deployment/osm-controller']);
    await lab.rolledOut('osm-system', 'osm-controller');
    await shownBy(next);
    signedByNext = Date.now();
    await Promise.all([accepted(next, true), accepted(old, true)]);
    await said('next', 'True Signing');
  });

  it('old inactive: in half a minute it is trusted no more, and certificates are renewed meanwhile', async () => {
    await apply(rootCertificate('former', old, 'inactive'));
    await said('former', 'False Retiring');
    await accepted(old, false, NARROWED_MS);
    await accepted(next, true);
    await said('former', 'True Unused');
    const serialsOf = (name: string): number => {
      const sights = seenSince(signedByNext).filter(({ peer }) => peer === name);
      return new Set(sights.map(({ serial }) => serial)).size;
    };
    await eventually('each renews its certificate', async () => peers.every(({ name }) => serialsOf(name) >= 2), {
      state,
    });
    alwaysSince(signedByNext, next);
    await lab.kubectl(['delete', 'meshrootcertificate', '-n', 'osm-system', 'former']);
  });

  it('another trust domain is known first, then certified, and the former one is left: by two secrets of each sidecar alone', async () => {
    assert.notEqual(await refusedBy(peers[0]!, moved), undefined, 'nobody trusts that domain yet');
    const before = await updates();
    const began = Date.now();
    await apply(rootCertificate('moved', moved, 'passive'));
    await accepted(moved, true);
    alwaysSince(began, next);
    await apply(rootCertificate('moved', moved, 'active'), rootCertificate('next', next, 'passive'));
    await shownBy(moved);
    await Promise.all([accepted(moved, true), accepted(next, true)]);
    await apply(rootCertificate('next', next, 'inactive'));
    await accepted(next, false, NARROWED_MS);
    await accepted(moved, true);
    for (const [index, now] of (await updates()).entries()) {
      const { workload, roots, ...others } = updatesSince(before[index]!, now);
      console.log(`      ${peers[index]!.name} took workload ${workload} times, roots ${roots} times`);
      assert.deepEqual(others, { cds: 0, lds: 0, rds: 0 }, 'two secrets change, and nothing else');
      assert.ok(workload > 0 && roots > 0, `workload ${workload}, roots ${roots}`);
    }
  });

  it('all MeshRootCertificates gone in one step, and every replica replaced in its middle: the built-in root signs again', async () => {
    await lab.kubectl(['delete', 'meshrootcertificates', '-n', 'osm-system', '--all']);
    await lab.kubectl(['rollout', 'restart', '-n', 'osm-system', 'deployment/osm-controller']);
    await lab.rolledOut('osm-system', 'osm-controller');
    await shownBy(old);
    await accepted(old, true);
  });

  it('meanwhile the CA of the control plane went its whole way', async () => {
    // Adding trust takes less than a look where nothing else runs.
    const steps = (await caRotation).filter((step) => step !== 'AddingTrust');
    assert.deepEqual(steps, ['WaitingToSwitch', 'RetiringFormerCA', 'NotRotating']);
    await admissions.stop();
    assert.deepEqual(admissions.refusals, []);
    await newPod('late');
    console.log(`      ${admissions.asked} pods were admitted, none refused`);
  });

  it('in three minutes of such lifetimes no certificate came near its end, and each handshake was answered', async () => {
    const settled = await eventually(
      'both peers showed certificates of a minute for three minutes',
      async () => {
        const sights = watch.sights.filter(({ leftMs }) => leftMs <= LIFETIME_MS);
        const spans = peers.map(({ name }) => sights.filter(({ peer }) => peer === name).map(({ at }) => at));
        return spans.every((times) => (times.at(-1) ?? 0) - (times[0] ?? 0) >= SHORT_LIVED_MS) ? sights : undefined;
      },
      { state, deadlineMs: SHORT_LIVED_MS },
    );
    await watch.stop();
    const least = Math.min(...settled.map(({ leftMs }) => leftMs));
    const serials = new Set(settled.map(({ serial }) => serial));
    console.log(
      `      ${serials.size} certificates shown in ${settled.length} handshakes, ${Math.round(least / 1000)} s left at least`,
    );
    await assertSteadyUntilEnd(loads, FLOOR);
    assert.deepEqual(watch.failures, []);
    assert.ok(least >= LEAST_LEFT_MS, describeSights(watch.sights));
  });

  const updates = (): Promise<Updates[]> => Promise.all(peers.map(({ name }) => updatesOf(NS, name)));
  const apply = (...objects: object[]): Promise<void> => lab.apply(objects);
  const seenSince = (time: number): Sight[] => watch.sights.filter(({ at }) => at >= time);
  const isBy = ({ root, uri }: Sight, by: Signer): boolean =>
    root === by.secret && uri.startsWith(`spiffe://${by.trustDomain}/ns/${NS}/sa/`);

  const shown = (what: string, holds: (sight: Sight) => boolean): Promise<void> =>
    allShow(watch, peers, what, holds, state);

  const shownBy = (by: Signer): Promise<void> =>
    shown(`certificates of ${by.trustDomain} by ${by.secret}`, (sight) => isBy(sight, by));

  /** Fails if a peer showed anything else since then. */
  function alwaysSince(time: number, by: Signer): void {
    const others = seenSince(time).filter((sight) => !isBy(sight, by));
    assert.deepEqual(others, [], `meant to be ${by.secret} all the while:\n${describeSights(watch.sights)}`);
  }

  /** Undefined when a certificate of that signer is accepted. */
  async function refusedBy(peer: Peer, by: Signer): Promise<string | undefined> {
    const answer = await answerTo(peer, CLIENT, by);
    return answer === '200' ? undefined : `${peer.name}: ${answer}`;
  }

  /** Waits until both peers accept, or refuse, a client certificate of that signer. */
  async function accepted(by: Signer, wanted: boolean, deadlineMs = 60_000): Promise<void> {
    let refusals: readonly (string | undefined)[] = [];
    await eventually(
      `certificates of ${by.trustDomain} by ${by.secret} are ${wanted ? 'accepted' : 'refused'}`,
      async () => {
        refusals = await Promise.all(peers.map((peer) => refusedBy(peer, by)));
        return refusals.every((refusal) => (refusal === undefined) === wanted);
      },
      { deadlineMs, state: async () => `${JSON.stringify(refusals)}\n${await state()}` },
    );
  }

  /** Waits until the newest generation of a MeshRootCertificate says so of itself: status and reason of Ready. */
  async function said(name: string, wanted: string): Promise<void> {
    interface Stored {
      readonly metadata: { readonly generation: number };
      readonly status?: { readonly observedGeneration?: number; readonly conditions?: readonly MeshCondition[] };
    }
    await eventually(`MeshRootCertificate ${name} is ${wanted}`, async () => {
      const { metadata, status } = await lab.json<Stored>(['get', 'meshrootcertificate', name, '-n', 'osm-system']);
      const ready = status?.conditions?.find(({ type }) => type === 'Ready');
      const now = `${ready?.status} ${ready?.reason}`;
      if (status?.observedGeneration === metadata.generation && now === wanted) return true;
      throw new Error(`${now}: ${ready?.message}`);
    });
  }

  const state = async (): Promise<string> =>
    `${describeSights(watch.sights)}\n${(await lab.meshCondition('WorkloadCertificatesIssued')).message}`;

  /** The walk of the control-plane CA from its beginning to its end; the reasons that the condition gave. */
  async function rotateControlPlaneCa(): Promise<readonly string[]> {
    await eventually(
      'no rotation of the CA is left from before',
      async () => {
        return (await lab.meshCondition('ControlPlaneCARotating')).status === 'False';
      },
      { deadlineMs: 240_000 },
    );
    const before = await rootIn('osm-control-plane-ca');
    const annotation = `openservicemesh.io/rotate-control-plane-ca=${Date.now()}`;
    await lab.kubectl(['annotate', ...MESH, '--overwrite', annotation]);
    const steps: string[] = [];
    let message = '';
    await eventually(
      'the control-plane CA has been rotated',
      async () => {
        const now = await lab.meshCondition('ControlPlaneCARotating');
        ({ message } = now);
        // Replicas that are behind are named under a reason of its own, for however long a kubelet takes.
        const step = now.reason === 'WaitingForReplicas' ? 'RetiringFormerCA' : now.reason;
        if (step !== steps.at(-1) && (steps.length > 0 || now.status === 'True')) {
          steps.push(step);
          if (now.status === 'True') await newPod(step.toLowerCase());
        }
        return steps.length > 0 && now.status === 'False';
      },
      { deadlineMs: 360_000, everyMs: 500, state: async () => `${steps.join(', ')}: ${message}` },
    );
    assert.notEqual((await rootIn('osm-control-plane-ca')).fingerprint256, before.fingerprint256, 'it is another CA');
    return steps;
  }

  /** A new pod comes up, with its sidecar configured by the controller. */
  async function newPod(name: string): Promise<void> {
    await lab.apply(workload({ namespace: NS, name, command: ['sleep', 'infinity'] }));
    await lab.rolledOut(NS, name);
  }
});
