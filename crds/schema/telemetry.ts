import type { Static } from 'typebox';
import { age, type KindDefinition } from './kind.ts';
import { namespacedName, policyStatus } from './common.ts';
import { name, object, optional, stringMap } from './kit.ts';

const spec = object('What sidecars tell of their traffic.', {
  selector: optional(
    stringMap(
      'Labels of the pods that it concerns; all of its namespace where left out, and all of the mesh in the control plane’s namespace.',
    ),
  ),
  accessLog: optional(
    object('The log of requests.', {
      format: optional(name('Envoy’s format string, or JSON; a JSON line with every field where left out.')),
      openTelemetry: optional(
        object('Sends the log to an OpenTelemetry collector.', {
          extensionService: namespacedName('The ExtensionService that says where it is.'),
          attributes: optional(stringMap('Attributes added to each line.')),
        }),
      ),
    }),
  ),
});

export type TelemetrySpec = Static<typeof spec>;

export const telemetry = {
  group: 'policy.openservicemesh.io',
  kind: 'Telemetry',
  plural: 'telemetries',
  shortNames: ['telemetry'],
  description: 'Configures the access log of sidecars.',
  versions: [{ name: 'v1alpha1' }],
  spec,
  status: policyStatus,
  columns: [{ name: 'Status', type: 'string', jsonPath: '.status.currentStatus' }, age],
  notYet: true,
} as const satisfies KindDefinition;
