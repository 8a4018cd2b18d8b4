/**
 * `deploy/install.yaml`: all that a user applies before a MeshConfig. It holds no webhook configuration: the operator
 * makes that when the injector can answer, and until then the guard refuses pods that would start without a sidecar.
 */
import { allCrds } from '#crds/manifests.ts';
import { guardPolicy } from '#webhook/inject/guard.ts';
import { add, type Manifest, synthesize, toYaml } from './manifest.ts';
import {
  defaultEnvoyImage,
  defaultImage,
  defaultNamespace,
  guardConfigMapName,
  operatorName,
  recommendedLabels,
} from './names.ts';
import { Rights } from './rights.ts';
import { downwardEnv, Workload } from './workload.ts';

const header = [
  'Open Service Mesh: custom resource definitions, the operator, its rights and the sidecar guard.',
  'Generated from cdk8s/install.ts by `npm run generate`; do not edit.',
  'Then apply a MeshConfig, for example crds/examples/meshconfig.yaml.',
];

/** The objects in the order in which they are applied: what others need comes first. */
export function installObjects(): Manifest[] {
  const namespace = defaultNamespace;
  const crds = allCrds() as unknown as Manifest[];
  const { policy, binding } = guardPolicy();
  const labels = recommendedLabels('osm', 'install');
  const ours = synthesize(labels, (chart) => {
    add(chart, {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: {
        name: namespace,
        labels: {
          'pod-security.kubernetes.io/enforce': 'restricted',
          'pod-security.kubernetes.io/warn': 'restricted',
        },
      },
    });
    new Rights(chart, namespace);
    // No `data`: its state is the operator's, and a Git sync that repairs this object must not arm what was released.
    add(chart, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: guardConfigMapName, namespace } });
    add(chart, policy as unknown as Manifest);
    add(chart, binding as unknown as Manifest);
    new Workload(chart, {
      name: operatorName,
      namespace,
      // One leads; the other takes over within the lease's duration.
      replicas: 2,
      image: defaultImage,
      imagePullPolicy: 'IfNotPresent',
      command: ['node', '/osm/operator.mjs'],
      env: [
        ...downwardEnv(),
        { name: 'OSM_IMAGE', value: defaultImage },
        { name: 'OSM_ENVOY_IMAGE', value: defaultEnvoyImage },
        { name: 'OSM_LOG_LEVEL', value: 'info' },
      ],
      podLabels: labels,
      terminationGraceSeconds: 15,
    });
  });
  return [...crds, ...ours];
}

/** The text of `deploy/install.yaml`. */
export function renderInstall(): string {
  return toYaml(header, installObjects());
}
