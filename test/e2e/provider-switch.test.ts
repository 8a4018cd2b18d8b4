/**
 * From the built-in authority to the real cert-manager and back under load, and no request is lost; in the middle cert-manager is
 * away. What signs is seen in what new connections are shown, what it costs in what the sidecars count.
 *
 * One walk in several tests, in this order: each stands on the one before.
 */
import assert from 'node:assert/strict';
import type { X509Certificate } from 'node:crypto';
import { type CertificateAuthority, createAuthority } from '#certificates/ca.ts';
import { readCertificates } from '#certificates/pem.ts';
import { intermediateOf } from '#test/support/authorities.ts';
import { clusterIssuerNamespace, issuerSecret } from '#test/support/cert-manager.ts';
import { eventually } from '#test/support/eventually.ts';
import { ensureCertManagerInside, type InstalledCertManager } from './support/cert-manager.ts';
import { rootIn } from './support/certificates.ts';
import { lab } from './support/lab.ts';
import { allProtocolsServer, namespace, workload } from './support/manifests.ts';
import { allShow, describeSights, type Peer, peerOf, type PeerWatch, type Sight, watchPeers } from './support/peers.ts';
import { type Updates, updatesOf, updatesSince } from './support/sidecar-stats.ts';
import { assertSteadyUntilEnd, type SteadyLoad, steadyLoad } from './support/steady-load.ts';

const NS = 'provider-switch';
const ROOT = 'from-cert-manager';
/** Calls a second: a machine that does nothing else makes three times as many. */
const FLOOR = { http: 100, tcp: 20 };
const NOTHING: Updates = { cds: 0, lds: 0, rds: 0, workload: 0, roots: 0 };

/** The MeshRootCertificate, with `Issuer` or `ClusterIssuer` of the name `mesh`. */
function signedBy(issuerKind: string): object {
  return {
    apiVersion: 'config.openservicemesh.io/v1alpha2',
    kind: 'MeshRootCertificate',
    metadata: { name: ROOT, namespace: 'osm-system' },
    spec: { role: 'active', provider: { certManager: { issuerName: 'mesh', issuerKind } } },
  };
}

function issuer(kind: string, where?: string): object {
  return {
    apiVersion: 'cert-manager.io/v1',
    kind,
    metadata: { name: 'mesh', ...(where === undefined ? {} : { namespace: where }) },
    spec: { ca: { secretName: 'mesh-issuer-ca' } },
  };
}

describe('another provider of certificates under constant load', () => {
  const roots = new Map<string, X509Certificate>();
  const loads: SteadyLoad[] = [];
  let made: readonly object[] = [];
  let manager: InstalledCertManager | undefined;
  let peers: readonly Peer[];
  let watch: PeerWatch;

  before(async function () {
    await lab.meshIsUp();
    manager = await ensureCertManagerInside();
    if (manager === undefined) {
      console.log('      skipped: this cluster has no cert-manager');
      return this.skip();
    }
    const authority = await intermediateOf(
      await createAuthority({ now: Date.now(), commonName: 'company root' }),
      'mesh',
    );
    made = [
      ...['osm-system', clusterIssuerNamespace].map((where) => issuerSecret('mesh-issuer-ca', where, authority)),
      issuer('Issuer', 'osm-system'),
      issuer('ClusterIssuer'),
    ];
    await lab.apply(made);
    await lab.apply([namespace(NS, true)]);
    await lab.apply(['server', 'client'].flatMap((name) => allProtocolsServer({ namespace: NS, name })));
    await lab.rolledOut(NS, 'server', 'client');
    await lab.setPermissive(true);
    peers = await Promise.all(['server', 'client'].map((name) => peerOf(NS, name)));
    roots.set('built-in', await rootIn('osm-ca-bundle'));
    roots.set('cert-manager', signerOf(authority));
    await eventually('the client reaches the server', async () => {
      return (await lab.curl(NS, 'client', 'http://server:8080/')).status === 200;
    });
    // Requests over kept-alive connections, and words over a new one each: a handshake between the two sidecars.
    loads.push(await steadyLoad(NS, 'client', 'http://server:8080/', { workers: 6, pauseMs: 15 }));
    loads.push(await steadyLoad(NS, 'client', 'tcp://server:7000', { workers: 3, pauseMs: 25 }));
    watch = watchPeers(peers, roots);
    await shownBy('built-in');
  });

  after(async () => {
    // What they saw has been judged by the last test: whatever it was, the cluster is left as it was found.
    await Promise.allSettled([watch?.stop(), ...loads.map((load) => load.stop())]);
    await lab.kubectl(['delete', 'meshrootcertificate', '-n', 'osm-system', ROOT, '--ignore-not-found']);
    await lab.remove([...made, namespace(NS, true)]);
    await manager?.remove();
    await lab.meshIsReady();
  });

  afterEach(async () => {
    for (const load of loads) await load.assertNoneLost();
  });

  it('an Issuer signs once its root is known: two secrets of each sidecar change, and nothing else', async () => {
    const before = await updates();
    await lab.apply([signedBy('Issuer')]);
    await shownBy('cert-manager');
    assert.deepEqual(
      await changed(before),
      peers.map(() => ({ ...NOTHING, workload: 1, roots: 1 })),
    );
    await told('True', /^Signed by cert-manager, MeshRootCertificate from-cert-manager for trust domain cluster.local/);
  });

  it('a ClusterIssuer of the same authority signs at once: one secret changes', async () => {
    const before = await updates();
    const serials = new Map(peers.map(({ name }) => [name, lastOf(name)?.serial]));
    await lab.apply([signedBy('ClusterIssuer')]);
    await shown(
      'other certificates',
      ({ peer, root, serial }) => root === 'cert-manager' && serial !== serials.get(peer),
    );
    assert.deepEqual(
      await changed(before),
      peers.map(() => ({ ...NOTHING, workload: 1 })),
    );
  });

  it('cert-manager away: what runs goes on, a new identity waits, and everybody is told why', async function () {
    if (manager?.ours !== true) return this.skip();
    await manager.down();
    const began = Date.now();
    await lab.apply(workload({ namespace: NS, name: 'late', command: ['sleep', 'infinity'] }));
    const why =
      /provider-timeout: (At replica \S+: )?cert-manager \(MeshRootCertificate from-cert-manager\) issues no certificates: .*controller may be down/;
    await told('False', why);
    await eventually('the Event', async () => (await eventsOfRoot()).some((text) => why.test(text)), {
      state: async () => (await eventsOfRoot()).join('\n'),
    });
    // The replica that the pod found; the condition and the Event are told by the leading one, for both.
    const metrics = (await Promise.all((await controllerIps()).map(metricsOf))).join('\n');
    assert.match(metrics, /^osm_certificate_accounts_failing [1-9]/m);
    assert.match(metrics, /^osm_certificate_troubles [1-9]/m);
    assert.equal(await lateRuns(), false, 'the application does not run without its certificate');
    const others = watch.sights.filter(({ at, root }) => at >= began && root !== 'cert-manager');
    assert.deepEqual(others, []);
  });

  it('cert-manager back: the new identity is ready by itself', async function () {
    if (manager?.ours !== true) return this.skip();
    const before = Date.now();
    await manager.up();
    await lab.rolledOut(NS, 'late');
    console.log(`      ready ${Date.now() - before} ms after cert-manager was called back`);
    await told('True', /^Signed by cert-manager/);
  });

  it('the MeshRootCertificate gone in one step: the built-in authority signs again', async () => {
    const before = await updates();
    await lab.kubectl(['delete', 'meshrootcertificate', '-n', 'osm-system', ROOT]);
    await shownBy('built-in');
    const { cds, lds, rds } = sum(await changed(before));
    assert.deepEqual({ cds, lds, rds }, { cds: 0, lds: 0, rds: 0 });
    const left = await lab.kubectl(['get', 'certificaterequests', '-n', 'osm-system', '-o', 'name']);
    assert.equal(left.trim(), '', 'requests are deleted');
  });

  it('each handshake was answered', async () => {
    await watch.stop();
    console.log(`      ${watch.sights.length} handshakes`);
    assert.deepEqual(watch.failures, []);
    await assertSteadyUntilEnd(loads, FLOOR);
  });

  const signerOf = ({ certificatePem }: CertificateAuthority): X509Certificate => readCertificates(certificatePem)[0]!;
  const lastOf = (name: string): Sight | undefined => watch.sights.findLast(({ peer }) => peer === name);
  const state = async (): Promise<string> =>
    `${describeSights(watch.sights)}\n${(await lab.meshCondition('WorkloadCertificatesIssued')).message}`;
  const shown = (what: string, holds: (sight: Sight) => boolean): Promise<void> =>
    allShow(watch, peers, what, holds, state);
  const shownBy = (signer: string): Promise<void> => shown(`certificates by ${signer}`, ({ root }) => root === signer);

  const updates = (): Promise<Updates[]> => Promise.all(peers.map(({ name }) => updatesOf(NS, name)));
  const changed = async (before: readonly Updates[]): Promise<Updates[]> =>
    (await updates()).map((now, index) => updatesSince(before[index] ?? NOTHING, now));
  const sum = (all: readonly Updates[]): Updates =>
    all.reduce((a, b) => ({
      cds: a.cds + b.cds,
      lds: a.lds + b.lds,
      rds: a.rds + b.rds,
      workload: a.workload + b.workload,
      roots: a.roots + b.roots,
    }));

  async function controllerIps(): Promise<string[]> {
    const { items } = await lab.json<{ items: { status: { podIP?: string } }[] }>([
      ...['get', 'pods', '-n', 'osm-system', '-l', 'app=osm-controller'],
    ]);
    return items.flatMap(({ status }) => status.podIP ?? []);
  }

  const metricsOf = async (ip: string): Promise<string> => (await fetch(`http://${ip}:9091/metrics`)).text();

  /** Waits until the MeshConfig says so of the certificates. */
  async function told(status: string, words: RegExp): Promise<void> {
    await eventually(
      `WorkloadCertificatesIssued is ${status}`,
      async () => {
        const condition = await lab.meshCondition('WorkloadCertificatesIssued');
        return condition.status === status && words.test(condition.message);
      },
      { state },
    );
  }

  /** Of this MeshRootCertificate, not of one of its name from an earlier run. */
  async function eventsOfRoot(): Promise<string[]> {
    const { metadata } = await lab.json<{ metadata: { uid: string } }>([
      ...['get', 'meshrootcertificate', '-n', 'osm-system', ROOT],
    ]);
    const { items } = await lab.json<{ items: { reason: string; message: string }[] }>([
      ...['get', 'events', '-n', 'osm-system', '--field-selector', `involvedObject.uid=${metadata.uid}`],
    ]);
    return items.filter(({ reason }) => reason === 'CertificatesNotIssued').map(({ message }) => message);
  }

  async function lateRuns(): Promise<boolean> {
    const running = 'jsonpath={.items[*].status.containerStatuses[*].state.running}';
    return (await lab.kubectl(['get', 'pods', '-n', NS, '-l', 'app=late', '-o', running])).trim() !== '';
  }
});
