/** The webhook configurations of a mesh. The operator applies them last: only when the injector can answer. */
import { CONTROL_PLANE, IGNORE, MONITORED_BY, SYSTEM_NAMESPACES } from '#webhook/inject/names.ts';
import type { ControlPlaneSettings } from './control-plane-settings.ts';
import { meshLabels, ownedOutside } from './control-plane.ts';
import { add, type Manifest, synthesize } from './manifest.ts';
import { injectorName, ports } from './names.ts';

type WebhookSettings = Pick<ControlPlaneSettings, 'namespace' | 'meshName' | 'owner'>;

export function mutatingWebhookName(meshName: string): string {
  return `osm-webhook-${subdomain(meshName)}`;
}

export function validatingWebhookName(meshName: string): string {
  return `osm-validator-${subdomain(meshName)}`;
}

/** A mesh name is a label value, which may hold capitals and underscores; an object's name may not. */
function subdomain(meshName: string): string {
  return meshName.toLowerCase().replace(/[^a-z0-9]+/g, '-');
}

/**
 * The mutating configuration, which is the only thing of ours that fails closed, and the validating one, which never
 * blocks: nothing that the mesh deploys may stand in the way of its own repair. `caBundle` is base64 of PEM roots.
 */
export function webhookConfigurations(settings: WebhookSettings, caBundle: string): Manifest[] {
  const { meshName, namespace } = settings;
  const clientConfig = (path: string): object => ({
    service: { name: injectorName, namespace, path, port: ports.webhooks },
    caBundle,
  });
  const common = {
    admissionReviewVersions: ['v1'],
    sideEffects: 'None',
    // A request for another version of a kind is converted and reviewed too.
    matchPolicy: 'Equivalent',
    timeoutSeconds: 5,
    namespaceSelector: meshedNamespaces(meshName, namespace),
    objectSelector: {},
  };
  const objects = synthesize(meshLabels(meshName), (chart) => {
    add(chart, {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'MutatingWebhookConfiguration',
      metadata: { name: mutatingWebhookName(meshName) },
      webhooks: [
        {
          ...common,
          name: 'osm-inject.k8s.io',
          clientConfig: clientConfig('/mutate-pod-creation'),
          failurePolicy: 'Fail',
          // A webhook after ours may add a container or a probe; injection is idempotent.
          reinvocationPolicy: 'IfNeeded',
          rules: [
            { apiGroups: [''], apiVersions: ['v1'], resources: ['pods'], operations: ['CREATE'], scope: 'Namespaced' },
          ],
        },
      ],
    });
    add(chart, {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingWebhookConfiguration',
      metadata: { name: validatingWebhookName(meshName) },
      webhooks: [
        {
          ...common,
          name: 'osm-validator.k8s.io',
          clientConfig: clientConfig('/validate'),
          failurePolicy: 'Ignore',
          rules: [
            policyRule('access.smi-spec.io', ['traffictargets']),
            policyRule('specs.smi-spec.io', ['httproutegroups', 'tcproutes']),
            policyRule('split.smi-spec.io', ['trafficsplits']),
            policyRule('policy.openservicemesh.io', ['egresses', 'ingressbackends', 'upstreamtrafficsettings']),
          ],
        },
      ],
    });
  });
  return objects.map((object) => ownedOutside(object, settings));
}

function policyRule(group: string, resources: readonly string[]): object {
  return {
    apiGroups: [group],
    apiVersions: ['*'],
    resources,
    operations: ['CREATE', 'UPDATE'],
    scope: 'Namespaced',
  };
}

/** The namespaces that webhook/inject/conditions.ts does not exempt; the pods among them are its `decide`'s business. */
function meshedNamespaces(meshName: string, namespace: string): object {
  return {
    matchLabels: { [MONITORED_BY]: meshName },
    matchExpressions: [
      { key: IGNORE, operator: 'DoesNotExist' },
      { key: CONTROL_PLANE, operator: 'DoesNotExist' },
      {
        key: 'kubernetes.io/metadata.name',
        operator: 'NotIn',
        values: [...new Set<string>([namespace, ...SYSTEM_NAMESPACES])].sort(),
      },
    ],
  };
}
