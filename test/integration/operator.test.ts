/**
 * The operator on a real API server, with the rights of its own service account. No controller manager and no kubelet run
 * here: where a Deployment must become available, the test says so in the Deployment controller's place.
 */
import assert from 'node:assert/strict';
import { type Client, createClient } from '#kubernetes/client.ts';
import { isStatus } from '#kubernetes/error.ts';
import * as kinds from '#kubernetes/kinds.ts';
import type { KubeObject } from '#kubernetes/types.ts';
import { createOperator, type Operator } from '#operator/operator.ts';
import { runPasses, type Passes } from '#operator/passes.ts';
import { type ApiServer, startApiServer } from '#test/support/apiserver.ts';
import { eventually } from '#test/support/eventually.ts';
import { clientAs, install, installation, markAvailable, meshConfig, namespace } from './operator-support.ts';

interface Condition {
  type: string;
  status: string;
  reason: string;
  message: string;
  observedGeneration: number;
}

describe('operator on a real API server', function () {
  this.timeout(60_000);
  let server: ApiServer;
  let admin: Client;
  let client: Client;
  let operator: Operator;
  let passes: Passes;
  const log: string[] = [];
  /** What the Service would, had the test a network for it. */
  let answers = false;

  before(async function () {
    this.timeout(180_000);
    server = await startApiServer();
    admin = createClient(server.clientOptions);
    await install(admin);
    client = await clientAs(server, admin, 'osm-operator');
    operator = createOperator({
      client,
      namespace,
      defaults: { image: 'example.com/osm:test', envoyImage: 'example.com/envoy:test' },
      onTransition: ({ name, kind, detail }) => log.push(`${kind} ${name} ${detail}`),
      onChange: (step, object) => log.push(`${step.kind} ${object}`),
      onCondition: (_object, condition) => log.push(`${condition.type}=${condition.status} ${condition.reason}`),
      askInjector: () => Promise.resolve(answers),
    });
    await operator.start();
    passes = runPasses(operator, { onPass: () => {}, onError: (error) => log.push(String(error)) });
  });
  after(async () => {
    await passes?.stop();
    operator?.stop();
    client?.close();
    admin?.close();
    await server?.stop();
  });

  const state = () => Promise.resolve(log.slice(-30).join('\n'));
  const until = <T>(what: string, look: () => Promise<T | undefined | false>): Promise<T> =>
    eventually(what, look, { deadlineMs: 15_000, everyMs: 50, state });
  const conditions = async (): Promise<Condition[]> => {
    const object = await admin.get<KubeObject>(kinds.MeshConfigs, 'osm-mesh-config', namespace);
    return (object?.status as { conditions?: Condition[] } | undefined)?.conditions ?? [];
  };
  const condition = async (type: string, status: string): Promise<Condition | undefined> =>
    (await conditions()).find((one) => one.type === type && one.status === status);
  const exists = (kind: (typeof kinds)['Secrets'], name: string, where?: string): Promise<KubeObject | undefined> =>
    admin.get<KubeObject>(kind, name, where);
  const deploymentsOf = (objects: readonly KubeObject[]): KubeObject[] =>
    objects.filter(({ kind }) => kind === 'Deployment');
  /** Asks for a pod of a Deployment's template, and stores none. Throws what admission says. */
  const createPodOf = (deployment: KubeObject): Promise<KubeObject> => {
    const { template } = deployment.spec as { template: { metadata: object; spec: object } };
    const metadata = { ...template.metadata, name: `${deployment.metadata.name}-trial`, namespace };
    const pod: KubeObject = { apiVersion: 'v1', kind: 'Pod', metadata, spec: template.spec };
    return admin.create(kinds.Pods, pod, { dryRun: true });
  };
  const applicationPod = (): Promise<KubeObject> => {
    const metadata = { name: 'application', namespace: 'bookstore' };
    const spec = { containers: [{ name: 'application', image: 'example.com/application' }] };
    return admin.create(kinds.Pods, { apiVersion: 'v1', kind: 'Pod', metadata, spec }, { dryRun: true });
  };
  const guard = async (): Promise<string | undefined> =>
    (await exists(kinds.ConfigMaps, 'osm-guard', namespace))?.data?.['state'];
  const versions = async (): Promise<string[]> => {
    const all = await Promise.all([
      admin.list<KubeObject>(kinds.Deployments, { namespace }),
      admin.list<KubeObject>(kinds.Services, { namespace }),
      admin.list<KubeObject>(kinds.Secrets, { namespace }),
      admin.list<KubeObject>(kinds.ConfigMaps),
      admin.list<KubeObject>(kinds.MutatingWebhookConfigurations),
      admin.list<KubeObject>(kinds.ClusterRoleBindings, { labelSelector: 'openservicemesh.io/managed-by-mesh' }),
      admin.list<KubeObject>(kinds.MeshConfigs, { namespace }),
    ]);
    return all.flatMap(({ items }) => items.map(({ metadata }) => `${metadata.name} ${metadata.resourceVersion}`));
  };

  it('installs: the server stores every object as it is written', async () => {
    for (const object of installation()) {
      assert.ok(object.metadata.name, object.kind);
    }
    const policy = await exists(kinds.ValidatingAdmissionPolicies, 'osm-sidecar-guard');
    const checking = (policy?.status as { typeChecking?: { expressionWarnings?: unknown[] } } | undefined)
      ?.typeChecking;
    assert.deepEqual(checking?.expressionWarnings ?? [], []);
  });

  it('runs under Pod Security `restricted`: the server takes pods of its Deployments into its namespace', async () => {
    for (const deployment of deploymentsOf(installation())) await createPodOf(deployment);
  });

  it('refuses, from the first minute, a pod that would start without a sidecar', async () => {
    await admin.create(kinds.Namespaces, {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: {
        name: 'bookstore',
        labels: { 'openservicemesh.io/monitored-by': 'osm' },
        annotations: { 'openservicemesh.io/sidecar-injection': 'enabled' },
      },
    });
    await until('the guard is in force', async () =>
      applicationPod().then(
        () => false,
        (error: unknown) => isStatus(error, 422) || isStatus(error, 403),
      ),
    );
  });

  it('does nothing and leaves the guard as shipped while there is no MeshConfig', async () => {
    await passes.idle();
    assert.equal(await guard(), undefined);
    assert.equal(operator.applies, 0);
  });

  it('has no right that it does not need', async () => {
    const forbidden = (error: unknown): boolean => isStatus(error, 403);
    await assert.rejects(client.list(kinds.Secrets), forbidden, 'all Secrets');
    // By name it may read them in its own namespace: it must hold what it grants for MeshRootCertificates.
    await assert.rejects(client.list(kinds.Secrets, { namespace }), forbidden, 'the list of Secrets');
    await assert.rejects(client.get(kinds.Secrets, 'someone-elses', 'default'), forbidden, 'another Secret');
    await assert.rejects(client.delete(kinds.Secrets, 'someone-elses', namespace), forbidden, 'deleting a Secret');
    const rules = [{ apiGroups: [''], resources: ['secrets'], verbs: ['list'] }];
    const role = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'Role', rules } as const;
    const wide = { ...role, metadata: { name: 'osm-controller-providers', namespace } } as KubeObject;
    await assert.rejects(client.apply(kinds.Roles, wide, { fieldManager: 'test' }), forbidden, 'granting a list');
    await assert.rejects(client.delete(kinds.ConfigMaps, 'other', 'default'), forbidden, 'another ConfigMap');
    await assert.rejects(
      client.create(kinds.ClusterRoleBindings, {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'ClusterRoleBinding',
        metadata: { name: 'osm-controller' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
        subjects: [],
      } as KubeObject),
      forbidden,
      'binding cluster-admin',
    );
  });

  it('makes the control plane, but no webhook while the injector cannot answer', async () => {
    await admin.apply(kinds.MeshConfigs, meshConfig(), { fieldManager: 'test-user' });
    await until('trust is in the meshed namespace', () => exists(kinds.ConfigMaps, 'osm-trust', 'bookstore'));
    await until('rolling out is told', () => condition('Reconciling', 'True'));
    await passes.idle();
    for (const name of ['osm-injector', 'osm-controller']) {
      assert.ok(await exists(kinds.Deployments, name, namespace), `Deployment ${name}`);
      assert.ok(await exists(kinds.Services, name, namespace), `Service ${name}`);
      assert.ok(await exists(kinds.ClusterRoleBindings, name), `ClusterRoleBinding ${name}`);
      assert.ok(await exists(kinds.Secrets, `${name}-tls`, namespace), `Secret ${name}-tls`);
      assert.ok(await exists(kinds.PodDisruptionBudgets, name, namespace), `PodDisruptionBudget ${name}`);
    }
    assert.ok(await exists(kinds.Secrets, 'osm-ca-bundle', namespace));
    const { items } = await admin.list<KubeObject>(kinds.Deployments, { namespace });
    for (const deployment of items) await createPodOf(deployment);
    assert.equal(await guard(), 'armed');
    assert.equal(await exists(kinds.MutatingWebhookConfigurations, 'osm-webhook-osm'), undefined);
    assert.equal((await condition('Ready', 'False'))?.reason, 'PodsUnavailable');
  });

  it('applies the webhooks and becomes Ready when the Deployments are available and the injector’s Service answers', async () => {
    await markAvailable(admin, 'osm-injector');
    await markAvailable(admin, 'osm-controller');
    await until('not Ready while it does not', async () => {
      const unready = await condition('Ready', 'False');
      return unready?.reason === 'InjectorUnreachable' && unready;
    });
    answers = true; // nothing changes in the cluster: the operator must ask again
    const webhook = await until('the webhook exists', () =>
      exists(kinds.MutatingWebhookConfigurations, 'osm-webhook-osm'),
    );
    const ready = await until('Ready', () => condition('Ready', 'True'));
    assert.equal(ready.observedGeneration, 1);
    assert.deepEqual((await conditions()).map(({ type, status }) => `${type}=${status}`).sort(), [
      'Accepted=True',
      'CertificatesValid=True',
      'ControlPlaneAvailable=True',
      'ControlPlaneCARotating=False',
      'Ready=True',
      'Reconciling=False',
      'Stalled=False',
      'WebhookTrusted=True',
      'WorkloadRootRotating=False',
    ]);
    const owners = webhook.metadata.ownerReferences?.map(({ kind, name }) => `${kind} ${name}`);
    assert.deepEqual(owners, ['ClusterRole osm-install']);
    const trust = await exists(kinds.ConfigMaps, 'osm-trust', 'bookstore');
    const tls = await exists(kinds.Secrets, 'osm-injector-tls', namespace);
    assert.equal(trust?.data?.['ca.crt'], Buffer.from(tls?.data?.['ca.crt'] ?? '', 'base64').toString());
  });

  it('makes a root that a MeshRootCertificate names, and lets the controller read that and other named Secrets alone', async () => {
    const apiVersion = 'config.openservicemesh.io/v1alpha2';
    const role = (): Promise<KubeObject | undefined> => exists(kinds.Roles, 'osm-controller-providers', namespace);
    const certificate = (name: string, provider: object): KubeObject => ({
      apiVersion,
      kind: 'MeshRootCertificate',
      metadata: { name, namespace },
      spec: { role: 'inactive', provider },
    });
    const next = certificate('next', { tresor: { ca: { secretRef: { name: 'next-root', namespace } } } });
    const secretKeyRef = { name: 'vault-token', key: 'token', namespace };
    const vault = certificate('vault', {
      vault: { host: 'vault', port: 8200, role: 'mesh', token: { secretKeyRef }, caSecretRef: { name: 'vault-ca' } },
    });
    const metadata = { name: 'vault-token', namespace };
    await admin.apply(kinds.Secrets, { apiVersion: 'v1', kind: 'Secret', metadata }, { fieldManager: 'test-user' });
    for (const object of [next, vault]) {
      await admin.apply(kinds.MeshRootCertificates, object, { fieldManager: 'test-user' });
    }
    await until('the Role', async () => {
      const { rules } = ((await role()) ?? {}) as { rules?: { resourceNames?: string[] }[] };
      return rules?.[0]?.resourceNames?.join() === 'next-root,vault-ca,vault-token';
    });
    await until('the RoleBinding', () => exists(kinds.RoleBindings, 'osm-controller-providers', namespace));
    const made = await until('the root', () => exists(kinds.Secrets, 'next-root', namespace));
    await until('one Secret may be read and another not', async () => {
      const controller = await clientAs(server, admin, 'osm-controller');
      try {
        assert.ok(await controller.get(kinds.Secrets, 'vault-token', namespace));
        await assert.rejects(controller.get(kinds.Secrets, 'osm-control-plane-ca', namespace), { status: 403 });
        return true;
      } finally {
        controller.close();
      }
    });
    await admin.delete(kinds.MeshRootCertificates, 'vault', namespace);
    await until('the Role is narrower', async () => {
      const { rules } = ((await role()) ?? {}) as { rules?: { resourceNames?: string[] }[] };
      return rules?.[0]?.resourceNames?.join() === 'next-root';
    });
    await admin.delete(kinds.MeshRootCertificates, 'next', namespace);
    await until('the Role is gone', async () => (await role()) === undefined);
    const kept = await exists(kinds.Secrets, 'next-root', namespace);
    assert.equal(kept?.metadata.uid, made.metadata.uid, 'a root is never taken away');
  });

  it('makes no writes while nothing changes', async () => {
    await passes.idle();
    const before = await versions();
    const applies = operator.applies;
    for (let pass = 0; pass < 3; pass++) {
      const { executed, statusWritten } = await operator.reconcile();
      assert.equal(executed.changes, 0);
      assert.equal(statusWritten, false);
    }
    assert.equal(operator.applies, applies, 'no apply was even sent');
    assert.deepEqual(await versions(), before);
  });

  it('goes on from what it finds when it starts anew, and changes nothing that is right', async () => {
    await passes.idle();
    const before = await versions();
    const successor = createOperator({
      client,
      namespace,
      defaults: { image: 'example.com/osm:test', envoyImage: 'example.com/envoy:test' },
      onTransition: () => {},
      onChange: (step, object) => assert.fail(`${step.kind} ${object}`),
      onCondition: (_object, { type, reason }) => assert.fail(`${type} ${reason}`),
    });
    try {
      await successor.start();
      const { executed, statusWritten } = await successor.reconcile();
      assert.deepEqual([executed.outcome.kind, executed.changes, statusWritten], ['done', 0, false]);
    } finally {
      successor.stop();
    }
    assert.deepEqual(await versions(), before);
  });

  it('does not write when another replica leads', async () => {
    const follower = createOperator({
      client,
      namespace,
      defaults: { image: 'example.com/another:image', envoyImage: 'example.com/envoy:test' },
      mayWrite: () => false,
      onTransition: () => {},
      onChange: () => {},
      onCondition: () => {},
    });
    const before = await versions();
    try {
      await follower.start();
      await assert.rejects(follower.reconcile(), /another replica leads/);
    } finally {
      follower.stop();
    }
    assert.deepEqual(await versions(), before);
  });

  it('repairs what is deleted or changed', async () => {
    await admin.delete(kinds.Services, 'osm-controller', namespace);
    await admin.delete(kinds.ConfigMaps, 'osm-trust', 'bookstore');
    await admin.delete(kinds.MutatingWebhookConfigurations, 'osm-webhook-osm');
    await admin.request(
      'PATCH',
      `/apis/apps/v1/namespaces/${namespace}/deployments/osm-controller`,
      { spec: { replicas: 0 } },
      { 'content-type': 'application/merge-patch+json' },
    );
    await until('all is back', async () => {
      const [service, trust, webhook, deployment] = await Promise.all([
        exists(kinds.Services, 'osm-controller', namespace),
        exists(kinds.ConfigMaps, 'osm-trust', 'bookstore'),
        exists(kinds.MutatingWebhookConfigurations, 'osm-webhook-osm'),
        exists(kinds.Deployments, 'osm-controller', namespace),
      ]);
      return (
        service !== undefined &&
        trust !== undefined &&
        webhook !== undefined &&
        (deployment?.spec as { replicas: number } | undefined)?.replicas === 2
      );
    });
    await markAvailable(admin, 'osm-controller');
    await until('Ready again', () => condition('Ready', 'True'));
  });

  it('replaces the pods of a component whose ServiceAccount was made again, once and no others', async () => {
    await passes.idle();
    const accountUid = async (name: string): Promise<string | undefined> =>
      (await exists(kinds.ServiceAccounts, name, namespace))?.metadata.uid;
    const template = async (name: string): Promise<{ uid: string | undefined; generation: number | undefined }> => {
      const deployment = await exists(kinds.Deployments, name, namespace);
      const spec = deployment?.spec as { template: { metadata: { annotations?: Record<string, string> } } } | undefined;
      return {
        uid: spec?.template.metadata.annotations?.['openservicemesh.io/service-account-uid'],
        generation: deployment?.metadata.generation,
      };
    };
    const before = await template('osm-controller');
    const injector = await template('osm-injector');
    const former = await accountUid('osm-controller');
    assert.equal(before.uid, former);
    assert.equal(injector.uid, await accountUid('osm-injector'));
    assert.equal(injector.generation, 1, 'the first install rolls nothing');
    await admin.delete(kinds.ServiceAccounts, 'osm-controller', namespace);
    const after = await until('the Deployment names another account', async () => {
      const seen = await template('osm-controller');
      return seen.uid !== before.uid && seen;
    });
    assert.equal(after.uid, await accountUid('osm-controller'));
    assert.notEqual(after.uid, former);
    await until('the rollout is told', () => condition('Ready', 'False'));
    await markAvailable(admin, 'osm-controller');
    await until('Ready again', () => condition('Ready', 'True'));
    await passes.idle();
    assert.equal((await template('osm-controller')).generation, (before.generation ?? 0) + 1);
    assert.deepEqual(await template('osm-injector'), injector);
  });

  it('takes back the trust of a namespace that leaves', async () => {
    await admin.create(kinds.Namespaces, {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'leaving', labels: { 'openservicemesh.io/monitored-by': 'osm' } },
    });
    await until('trust arrives', () => exists(kinds.ConfigMaps, 'osm-trust', 'leaving'));
    await admin.request(
      'PATCH',
      '/api/v1/namespaces/leaving',
      { metadata: { labels: { 'openservicemesh.io/monitored-by': null } } },
      { 'content-type': 'application/merge-patch+json' },
    );
    await until('trust is gone', async () => (await exists(kinds.ConfigMaps, 'osm-trust', 'leaving')) === undefined);
    assert.ok(await exists(kinds.ConfigMaps, 'osm-trust', 'bookstore'), 'others keep theirs');
  });

  it('tells of a wrong MeshConfig by its field, and changes nothing', async () => {
    await passes.idle();
    const deployment = await exists(kinds.Deployments, 'osm-controller', namespace);
    const injector = await exists(kinds.Deployments, 'osm-injector', namespace);
    // The schema lets any node selector pass; the API server refuses this one in the Deployment. What is right beside it
    // must not be applied either.
    await admin.apply(
      kinds.MeshConfigs,
      meshConfig({
        controlPlane: { controller: { nodeSelector: { 'not a label!': 'x' } }, injector: { replicas: 3 } },
      }),
      { fieldManager: 'test-user' },
    );
    const stalled = await until('Stalled', () => condition('Stalled', 'True'));
    assert.match(stalled.message, /^spec\.controlPlane\.controller: .*nodeSelector/);
    assert.doesNotMatch(stalled.message, /PATCH/);
    assert.equal(stalled.observedGeneration, 2);
    assert.equal((await condition('Accepted', 'False'))?.status, 'False');
    const after = await exists(kinds.Deployments, 'osm-controller', namespace);
    assert.equal(after?.metadata.resourceVersion, deployment?.metadata.resourceVersion);
    const untouched = await exists(kinds.Deployments, 'osm-injector', namespace);
    assert.equal(untouched?.metadata.resourceVersion, injector?.metadata.resourceVersion);

    await admin.apply(kinds.MeshConfigs, meshConfig({}), { fieldManager: 'test-user' });
    await until('Ready again', () => condition('Ready', 'True'));
  });

  it('tells a MeshConfig of another namespace that it counts for nothing, and leaves the mesh alone', async () => {
    await passes.idle();
    const before = await versions();
    const stray = { ...meshConfig(), metadata: { name: 'osm-mesh-config', namespace: 'bookstore' } };
    await admin.apply(kinds.MeshConfigs, stray, { fieldManager: 'test-user' });
    const status = await until('its status', async () => {
      const object = await exists(kinds.MeshConfigs, 'osm-mesh-config', 'bookstore');
      return object?.status as { version?: string; observedGeneration: number; conditions: Condition[] } | undefined;
    });
    assert.deepEqual(
      status.conditions.map(({ type, status: holds, reason }) => [type, holds, reason]),
      [
        ['Ready', 'False', 'NotThisMesh'],
        ['Reconciling', 'False', 'NotThisMesh'],
        ['Stalled', 'True', 'NotThisMesh'],
      ],
    );
    assert.match(status.conditions[0]?.message ?? '', /namespace osm-system.*osm-mesh-config/);
    assert.deepEqual([status.observedGeneration, status.version], [1, undefined]);
    // kstatus reads a spec that changed as in progress until the status says that it was seen.
    await admin.apply(
      kinds.MeshConfigs,
      { ...stray, spec: { traffic: { enableEgress: false } } },
      { fieldManager: 'test-user' },
    );
    await until('generation 2 is seen', async () => {
      const object = await exists(kinds.MeshConfigs, 'osm-mesh-config', 'bookstore');
      return (object?.status as { observedGeneration: number } | undefined)?.observedGeneration === 2;
    });
    await passes.idle();
    assert.deepEqual(await versions(), before);
    const stored = await exists(kinds.MeshConfigs, 'osm-mesh-config', 'bookstore');
    await operator.reconcile();
    const again = await exists(kinds.MeshConfigs, 'osm-mesh-config', 'bookstore');
    assert.equal(again?.metadata.resourceVersion, stored?.metadata.resourceVersion, 'nothing is written twice');
    await admin.delete(kinds.MeshConfigs, 'osm-mesh-config', 'bookstore');
  });

  it('knows no MeshConfig by another name: the API server refuses it', async () => {
    const named = { ...meshConfig(), metadata: { name: 'my-mesh', namespace } };
    await assert.rejects(admin.apply(kinds.MeshConfigs, named, { fieldManager: 'test-user' }), /osm-mesh-config/);
  });

  it('removes webhooks, releases the guard and removes the rest when the MeshConfig goes', async () => {
    log.length = 0;
    await admin.delete(kinds.MeshConfigs, 'osm-mesh-config', namespace);
    await until('the Deployments are gone', async () => {
      const { items } = await admin.list(kinds.Deployments, {
        namespace,
        labelSelector: 'openservicemesh.io/managed-by-mesh',
      });
      return items.length === 0 && (await exists(kinds.ConfigMaps, 'osm-trust', 'bookstore')) === undefined;
    });
    await passes.idle();
    assert.equal(await guard(), 'released');
    await until('pods start again', async () => (await applicationPod()).metadata.name === 'application');
    const order = log.filter(
      (line) => /WebhookConfiguration|guard|Deployment/.test(line) && /^(delete|set)/.test(line),
    );
    assert.deepEqual(
      order.map((line) => line.replace(/\/.*/, '')),
      [
        'delete MutatingWebhookConfiguration',
        'delete ValidatingWebhookConfiguration',
        'set-guard guard released',
        'delete Deployment',
        'delete Deployment',
      ],
    );
    assert.ok(await exists(kinds.Secrets, 'osm-ca-bundle', namespace), 'a later mesh trusts the same root');
    const { items } = await admin.list(kinds.ClusterRoleBindings, {
      labelSelector: 'openservicemesh.io/managed-by-mesh',
    });
    assert.deepEqual(items, []);
  });

  it('arms the guard again for a new MeshConfig, and goes on with the same root', async () => {
    const before = await exists(kinds.Secrets, 'osm-ca-bundle', namespace);
    await admin.apply(kinds.MeshConfigs, meshConfig(), { fieldManager: 'test-user' });
    await until('the control plane is back', () => exists(kinds.Deployments, 'osm-injector', namespace));
    assert.equal(await guard(), 'armed');
    const after = await exists(kinds.Secrets, 'osm-ca-bundle', namespace);
    assert.equal(after?.metadata.resourceVersion, before?.metadata.resourceVersion);
  });

  it('makes nothing once the install’s ClusterRole is gone', async () => {
    await admin.delete(kinds.ClusterRoles, 'osm-install');
    await until('the operator sees it', async () => (await operator.reconcile()).plan.reason.key === 'owner-missing');
    await admin.delete(kinds.Services, 'osm-injector', namespace);
    await until('the store sees it', async () => {
      const services = operator.stores.managed.flatMap(({ store }) => [...store.values()]);
      return !services.some(({ kind, metadata }) => kind === 'Service' && metadata.name === 'osm-injector');
    });
    await passes.idle();
    assert.equal(await exists(kinds.Services, 'osm-injector', namespace), undefined);
  });
});
