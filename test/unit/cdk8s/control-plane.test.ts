import assert from 'node:assert/strict';
import { controlPlaneObjects } from '#cdk8s/control-plane.ts';
import type { Manifest } from '#cdk8s/manifest.ts';
import { toYaml } from '#cdk8s/manifest.ts';
import { version } from '#cdk8s/names.ts';
import { trustConfigMaps } from '#cdk8s/trust.ts';
import { webhookConfigurations } from '#cdk8s/webhooks.ts';
import { settings } from './fixtures.ts';
import { expectGolden } from './golden.ts';

/** Goldens must not change with each release. */
const withoutVersion = (text: string): string => text.replaceAll(version, '<version>');
const render = (objects: readonly Manifest[]): string => withoutVersion(toYaml([], objects));
const one = (objects: readonly Manifest[], kind: string, name: string): Manifest => {
  const found = objects.find((object) => object.kind === kind && object.metadata.name === name);
  assert.ok(found, `${kind} ${name} is among the objects`);
  return found;
};

interface PodSpec {
  securityContext: Record<string, unknown>;
  containers: { securityContext: Record<string, unknown>; resources: { requests: { cpu: string } } }[];
}
const podOf = (deployment: Manifest): PodSpec => (deployment.spec as { template: { spec: PodSpec } }).template.spec;

describe('cdk8s/control-plane', () => {
  it('makes the control plane of an empty MeshConfig as in the golden', () => {
    expectGolden('control-plane.golden.yaml', render(controlPlaneObjects(settings())));
  });

  it('makes the webhook configurations as in the golden', () => {
    expectGolden('webhooks.golden.yaml', render(webhookConfigurations(settings(), 'Q0E=')));
  });

  it('makes a trust ConfigMap for each namespace as in the golden', () => {
    expectGolden('trust.golden.yaml', render(trustConfigMaps(settings(), ['bookstore', 'bookbuyer'], 'PEM\n')));
  });

  it('gives the same bytes each time', () => {
    assert.equal(render(controlPlaneObjects(settings())), render(controlPlaneObjects(settings())));
  });

  it('owns what is outside its namespace by the install’s ClusterRole, and nothing inside', () => {
    const all = [
      ...controlPlaneObjects(settings()),
      ...webhookConfigurations(settings(), 'Q0E='),
      ...trustConfigMaps(settings(), ['bookstore'], 'PEM'),
    ];
    for (const object of all) {
      const owners = object.metadata.ownerReferences?.map(({ name }) => name) ?? [];
      const expected = object.metadata.namespace === 'osm-system' ? [] : ['osm-install'];
      assert.deepEqual(owners, expected, `${object.kind} ${object.metadata.name}`);
    }
  });

  it('lets the controller write exactly the one Secret that the ingress gateway’s certificate is kept in', () => {
    const objects = controlPlaneObjects(settings({ gatewaySecret: { name: 'tls', namespace: 'edge' } }));
    const role = one(objects, 'Role', 'osm-controller-gateway');
    assert.deepEqual(role['rules'], [
      { apiGroups: [''], resources: ['secrets'], resourceNames: ['tls'], verbs: ['get', 'create', 'patch'] },
      {
        apiGroups: ['rbac.authorization.k8s.io'],
        resources: ['roles'],
        resourceNames: ['osm-controller-gateway'],
        verbs: ['get'],
      },
    ]);
    const binding = one(objects, 'RoleBinding', 'osm-controller-gateway');
    const grant = one(objects, 'RoleBinding', 'osm-operator-gateway');
    assert.deepEqual(grant['subjects'], [{ kind: 'ServiceAccount', name: 'osm-operator', namespace: 'osm-system' }]);
    assert.deepEqual(binding['subjects'], [
      { kind: 'ServiceAccount', name: 'osm-controller', namespace: 'osm-system' },
    ]);
    for (const { metadata } of [role, binding, grant]) {
      assert.equal(metadata.namespace, 'edge');
      assert.deepEqual(
        metadata.ownerReferences?.map(({ name }) => name),
        ['osm-install'],
      );
    }
  });

  it('passes what a user sets of a component through to its pods', () => {
    const objects = controlPlaneObjects(
      settings({
        imagePullPolicy: 'Always',
        imagePullSecrets: [{ name: 'registry' }],
        nativeSidecars: false,
        controller: {
          replicas: 1,
          resources: { limits: { memory: '2Gi' } },
          nodeSelector: { pool: 'system' },
          tolerations: [{ key: 'system', operator: 'Exists' }],
          affinity: { nodeAffinity: {} },
        },
      }),
    );
    const pod = podOf(one(objects, 'Deployment', 'osm-controller')) as PodSpec & Record<string, unknown>;
    assert.deepEqual(pod['imagePullSecrets'], [{ name: 'registry' }]);
    assert.deepEqual(pod['nodeSelector'], { 'kubernetes.io/os': 'linux', pool: 'system' });
    assert.deepEqual(pod['tolerations'], [{ key: 'system', operator: 'Exists' }]);
    assert.deepEqual(pod['affinity'], { nodeAffinity: {} });
    assert.deepEqual(pod.containers[0]?.resources, { limits: { memory: '2Gi' } });
    const injector = one(objects, 'Deployment', 'osm-injector');
    assert.match(JSON.stringify(injector), /"name":"OSM_NATIVE_SIDECARS","value":"false"/);
    const budgets = objects.filter(({ kind }) => kind === 'PodDisruptionBudget').map(({ metadata }) => metadata.name);
    assert.deepEqual(budgets, ['osm-injector'], 'a budget for one replica would block every drain');
  });

  it('holds every pod to the Pod Security level restricted and to 100m CPU', () => {
    const deployments = controlPlaneObjects(settings()).filter(({ kind }) => kind === 'Deployment');
    assert.equal(deployments.length, 2);
    for (const deployment of deployments) {
      const pod = podOf(deployment);
      assert.equal(pod.securityContext['runAsNonRoot'], true);
      assert.deepEqual(pod.securityContext['seccompProfile'], { type: 'RuntimeDefault' });
      for (const { securityContext, resources } of pod.containers) {
        assert.deepEqual(securityContext['capabilities'], { drop: ['ALL'] });
        assert.equal(securityContext['allowPrivilegeEscalation'], false);
        assert.equal(securityContext['readOnlyRootFilesystem'], true);
        assert.ok(Number.parseInt(resources.requests.cpu, 10) <= 100);
      }
    }
  });

  it('makes object names of mesh names that are no object names', () => {
    const names = webhookConfigurations(settings({ meshName: 'My_Mesh.1' }), 'Q0E=').map(
      ({ metadata }) => metadata.name,
    );
    assert.deepEqual(names, ['osm-webhook-my-mesh-1', 'osm-validator-my-mesh-1']);
  });
});
