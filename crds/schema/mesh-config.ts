import type { Static } from 'typebox';
import { age, readyColumns, readyMessage, type KindDefinition } from './kind.ts';
import { statusOf } from './common.ts';
import { controlPlane } from './control-plane.ts';
import { certificate, featureFlags, observability, sidecar, traffic } from './mesh-config-sections.ts';
import { optional, section, text } from './kit.ts';

const spec = section('What the mesh should be. Every field may be left out.', {
  meshName: text('Name of the mesh: the value of the label `openservicemesh.io/monitored-by` on its namespaces.', {
    default: 'osm',
    maxLength: 63,
    pattern: '^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$',
  }),
  controlPlane,
  sidecar,
  traffic,
  observability,
  certificate,
  featureFlags,
});

export type MeshConfigSpec = Static<typeof spec>;

export const meshConfig = {
  group: 'config.openservicemesh.io',
  kind: 'MeshConfig',
  plural: 'meshconfigs',
  shortNames: ['meshconfig'],
  description:
    'The configuration of a mesh. There is one, `osm-mesh-config`, and the control plane runs in its namespace.',
  versions: [
    { name: 'v1alpha2' },
    {
      name: 'v1alpha1',
      deprecationWarning:
        'config.openservicemesh.io/v1alpha1 MeshConfig is deprecated; use config.openservicemesh.io/v1alpha2',
    },
  ],
  spec,
  specDefault: {},
  status: statusOf({ version: optional(text('Version of the control plane that is running.')) }),
  rules: [
    {
      rule: "self.metadata.name == 'osm-mesh-config'",
      message: 'metadata.name must be osm-mesh-config: a control plane has exactly one MeshConfig',
      fieldPath: '.metadata.name',
      holds: (self: { metadata: { name: string } }) => self.metadata.name === 'osm-mesh-config',
    },
  ],
  columns: [...readyColumns, { name: 'Version', type: 'string', jsonPath: '.status.version' }, age, readyMessage],
} as const satisfies KindDefinition;
