/** The guard policy and decide() come from one table; here the real API server says whether they mean the same. */
import assert from 'node:assert/strict';
import { createClient, type Client } from '#kubernetes/client.ts';
import {
  ConfigMaps,
  Namespaces,
  Pods,
  ValidatingAdmissionPolicies,
  ValidatingAdmissionPolicyBindings,
} from '#kubernetes/kinds.ts';
import { KubernetesError } from '#kubernetes/error.ts';
import { type ApiServer, startApiServer } from '#test/support/apiserver.ts';
import { eventually } from '#test/support/eventually.ts';
import { wishOf } from '#webhook/inject/decide.ts';
import { GUARD_CONFIG_MAP, guardPolicy } from '#webhook/inject/guard.ts';
import { inject } from '#webhook/inject/inject.ts';
import type { Namespace, Pod } from '#webhook/inject/pod.ts';
import { injectSettings } from '../unit/webhook/settings.ts';

const key = 'openservicemesh.io/sidecar-injection';
const mesh = { meshName: 'osm', controlPlaneNamespace: 'osm-system' };
const values = [undefined, 'enabled', 'Disabled', 'TRUE', 'no', 'maybe', ''];
const marks = (value: string | undefined) => (value === undefined ? {} : { [key]: value });

/** One namespace for each thing that can be said of one. */
function namespaces(): Namespace[] {
  const all: Namespace[] = [];
  const add = (name: string, labels: Record<string, string>, annotations: Record<string, string> = {}) =>
    all.push({ metadata: { name, labels, annotations } });
  const monitored = { 'openservicemesh.io/monitored-by': 'osm' };
  // A label cannot say everything that an annotation can, but each meaning.
  values.forEach((value, index) => {
    add(`annotated-${index}`, monitored, marks(value));
    add(`labelled-${index}`, { ...monitored, ...marks(value) });
  });
  add('contradictory', { ...monitored, ...marks('yes') }, marks('no'));
  add('agreeing', { ...monitored, ...marks('yes') }, marks('enabled'));
  add('unmonitored', marks('enabled'));
  add('ignored', { ...monitored, 'openservicemesh.io/ignore': '', ...marks('enabled') });
  add('with-control-plane', { ...monitored, 'control-plane': 'x', ...marks('enabled') });
  add('osm-system', { ...monitored, ...marks('enabled') });
  add('kube-system', { ...monitored, ...marks('enabled') });
  return all;
}

function pods(): Pod[] {
  const all: Pod[] = [];
  const add = (annotation: string | undefined, label: string | undefined, hostNetwork: boolean) => {
    const name = `pod-${all.length}`;
    all.push({
      metadata: { name, labels: marks(label), annotations: marks(annotation) },
      spec: { ...(hostNetwork && { hostNetwork }), containers: [{ name: 'app', image: 'app' }] },
    });
  };
  for (const value of values) {
    add(value, undefined, false);
    add(undefined, value, false);
  }
  add('no', 'yes', false);
  add('yes', 'enabled', false);
  add('yes', undefined, true);
  return all;
}

describe('guard policy on a real API server', function () {
  this.timeout(120_000);
  let server: ApiServer;
  let client: Client;

  /** Undefined when the API server would store the pod; else its words. */
  async function refusal(pod: Pod, namespace: string): Promise<string | undefined> {
    const object = {
      ...pod,
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { ...pod.metadata, name: pod.metadata.name ?? 'pod', namespace },
    };
    try {
      await client.create(Pods, object, { dryRun: true });
      return undefined;
    } catch (error) {
      if (error instanceof KubernetesError && error.message.includes('osm-sidecar-guard')) return error.message;
      throw error;
    }
  }

  const meant = (pod: Pod, namespace: Namespace) => wishOf(pod, namespace, mesh).kind !== 'skip';
  const probe: Pod = {
    metadata: { name: 'probe', annotations: marks('enabled') },
    // A projected token needs an account.
    spec: { serviceAccountName: 'default', containers: [{ name: 'app', image: 'app' }] },
  };

  /** The API server takes a moment to see a new policy or parameter. */
  const guardSays = (expected: 'refused' | 'accepted') =>
    eventually(
      `a naked pod is ${expected}`,
      async () => ((await refusal(probe, 'annotated-0')) !== undefined) === (expected === 'refused'),
    );

  before(async () => {
    server = await startApiServer();
    client = createClient(server.clientOptions);
    for (const namespace of namespaces()) {
      await client.apply(
        Namespaces,
        { apiVersion: 'v1', kind: 'Namespace', ...namespace },
        { fieldManager: 'test', force: true },
      );
    }
    const { policy, binding } = guardPolicy();
    await client.create(ConfigMaps, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: GUARD_CONFIG_MAP, namespace: 'osm-system' },
    });
    await client.create(ValidatingAdmissionPolicies, policy);
    await client.create(ValidatingAdmissionPolicyBindings, binding);
    await guardSays('refused');
    assert.match((await refusal(probe, 'annotated-0')) ?? '', /apply a MeshConfig/);
  });

  after(async () => {
    client?.close();
    await server?.stop();
  });

  it('refuses exactly the pods that decide() does not leave alone', async () => {
    const disagreements: string[] = [];
    let refused = 0;
    let accepted = 0;
    for (const namespace of namespaces()) {
      await Promise.all(
        pods().map(async (pod) => {
          const answer = await refusal(pod, namespace.metadata.name);
          if (answer === undefined) accepted++;
          else refused++;
          if ((answer !== undefined) !== meant(pod, namespace)) {
            disagreements.push(`${JSON.stringify(namespace.metadata)} ${JSON.stringify(pod)}: ${answer ?? 'accepted'}`);
          }
        }),
      );
    }
    assert.deepEqual(disagreements, []);
    assert.ok(
      refused > 50 && accepted > 50,
      `a one-sided table proves nothing: ${refused} refused, ${accepted} accepted`,
    );
  });

  it('lets through what carries the sidecar, native or plain, and is not fooled by its name', async () => {
    for (const nativeSidecars of [true, false]) {
      assert.equal(await refusal(inject(probe, injectSettings({ nativeSidecars })), 'annotated-0'), undefined);
    }
    const forged: Pod = { ...probe, spec: { containers: [{ name: 'envoy', image: 'mine' }] } };
    assert.match((await refusal(forged, 'annotated-0')) ?? 'accepted', /osm-sidecar-guard/);
  });

  /** Stores a pod and adds a container to it; undefined when that was taken, else the API server's words. */
  async function debugged(pod: Pod, name: string, container: object): Promise<string | undefined> {
    const path = `/api/v1/namespaces/labelled-1/pods/${name}`;
    if ((await client.get(Pods, name, 'labelled-1')) === undefined) {
      const metadata = { ...pod.metadata, name, namespace: 'labelled-1' };
      await client.create(Pods, { ...pod, apiVersion: 'v1', kind: 'Pod', metadata });
    }
    const added = { spec: { ephemeralContainers: [{ image: 'busybox', ...container }] } };
    try {
      await client.request('PATCH', `${path}/ephemeralcontainers`, added, {
        'content-type': 'application/strategic-merge-patch+json',
      });
      return undefined;
    } catch (error) {
      if (error instanceof KubernetesError && error.message.includes('osm-sidecar-guard')) return error.message;
      throw error;
    }
  }

  const as = (runAsUser: number) => ({ securityContext: { runAsUser } });
  const meshed = (spec: object = {}): Pod => {
    const pod = inject(probe, injectSettings());
    return { ...pod, spec: { ...pod.spec, ...spec } };
  };

  it('refuses to add a container as the sidecar’s user, its own or the pod’s, and no other', async () => {
    assert.equal(await debugged(meshed(), 'meshed', { name: 'root', ...as(0) }), undefined);
    assert.match((await debugged(meshed(), 'meshed', { name: 'sly', ...as(1500) })) ?? 'accepted', /sidecar-user/);
    assert.equal(await debugged(meshed(), 'meshed', { name: 'plain' }), undefined);
    const podLevel = meshed(as(1500));
    assert.match((await debugged(podLevel, 'pod-level', { name: 'heir' })) ?? 'accepted', /sidecar-user/);
    assert.equal(await debugged(podLevel, 'pod-level', { name: 'own', ...as(1000) }), undefined);
  });

  it('lets anybody into a pod that is none of the mesh', async () => {
    const outside: Pod = { ...probe, metadata: { name: 'outside', annotations: marks('disabled') } };
    assert.equal(await debugged(outside, 'outside', { name: 'sly', ...as(1500) }), undefined);
  });

  it('is disarmed by `released`, armed by anything else, and closed without its parameter', async () => {
    const guard = (data: Record<string, string>) =>
      client.apply(
        ConfigMaps,
        { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: GUARD_CONFIG_MAP, namespace: 'osm-system' }, data },
        { fieldManager: 'test', force: true },
      );
    await guard({ state: 'released' });
    await guardSays('accepted');
    assert.equal(await debugged(meshed(), 'former', { name: 'sly', ...as(1500) }), undefined);
    await guard({ state: 'armed' });
    await guardSays('refused');
    assert.match((await debugged(meshed(), 'former', { name: 'slyer', ...as(1500) })) ?? 'accepted', /sidecar-user/);
    assert.equal(await debugged(meshed(), 'former', { name: 'plain' }), undefined, 'one that stands forbids no other');
    await guard({ state: 'released' });
    await guardSays('accepted');
    await client.delete(ConfigMaps, GUARD_CONFIG_MAP, 'osm-system');
    await guardSays('refused');
  });
});
