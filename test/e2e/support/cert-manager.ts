/** The real cert-manager in a cluster: its controllers as one pod of a namespace that is not meshed. */
import { certManagerImage } from '#test/cluster/images.ts';
import { certManagerDefinitions, clusterIssuerNamespace } from '#test/support/cert-manager.ts';
import { lab } from './lab.ts';
import { namespace } from './manifests.ts';

const name = 'cert-manager';
const metadata = { name };
const account = { kind: 'ServiceAccount', name, namespace: clusterIssuerNamespace };
const labels = { app: name };

/** More than its own chart gives: one role for all its controllers, in a cluster that is thrown away. */
const rules = [
  { apiGroups: ['cert-manager.io', 'acme.cert-manager.io'], resources: ['*'], verbs: ['*'] },
  { apiGroups: [''], resources: ['secrets'], verbs: ['get', 'list', 'watch'] },
  { apiGroups: [''], resources: ['events'], verbs: ['create', 'patch'] },
];

const objects: readonly object[] = [
  namespace(clusterIssuerNamespace, false),
  { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace: clusterIssuerNamespace } },
  { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata, rules },
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata,
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
    subjects: [account],
  },
  {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: clusterIssuerNamespace },
    spec: {
      replicas: 1,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          serviceAccountName: name,
          terminationGracePeriodSeconds: 2,
          containers: [
            {
              name: 'controllers',
              image: certManagerImage.name,
              resources: { requests: { cpu: '10m', memory: '32Mi' } },
            },
          ],
        },
      },
    },
  },
];

export interface InstalledCertManager {
  /** Whether it is ours to stop. */
  readonly ours: boolean;
  down(): Promise<void>;
  up(): Promise<void>;
  remove(): Promise<void>;
}

/** Installs it, or finds the one of somebody else's cluster; undefined when that has none. */
export async function ensureCertManagerInside(): Promise<InstalledCertManager | undefined> {
  const definitions = await certManagerDefinitions();
  const scale = (replicas: number): Promise<void> => lab.scale(clusterIssuerNamespace, name, replicas);
  if (!lab.canStopComponents) {
    const { code } = await lab.run(['get', 'clusterissuers.cert-manager.io']);
    const leaveIt = (): Promise<void> => Promise.resolve();
    return code === 0 ? { ours: false, down: leaveIt, up: leaveIt, remove: leaveIt } : undefined;
  }
  await lab.loadImage(certManagerImage);
  await lab.kubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], listOf(definitions));
  const names = definitions.map((definition) => `crd/${definition.metadata.name}`);
  await lab.kubectl(['wait', '--for=condition=Established', '--timeout=30s', ...names]);
  await lab.apply(objects);
  await lab.rolledOut(clusterIssuerNamespace, name);
  return {
    ours: true,
    down: () => scale(0),
    up: () => scale(1),
    async remove() {
      // The namespace goes with what is in it, and nobody waits for it; the definitions take their objects along.
      await lab.remove([...objects, ...definitions]);
    },
  };
}

const listOf = (items: readonly object[]): string => JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
