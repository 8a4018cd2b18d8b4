/** The ConfigMap without which a meshed pod waits: how its sidecar reaches and trusts the control plane. */
import { trustConfigMapData } from '#webhook/inject/trust.ts';
import type { ControlPlaneSettings } from './control-plane-settings.ts';
import { meshLabels, ownedOutside } from './control-plane.ts';
import { type Manifest, synthesize, add } from './manifest.ts';
import { trustConfigMapName } from './names.ts';

/** `osm-trust` in each of `namespaces`. `caPem` holds the control plane's roots. */
export function trustConfigMaps(
  settings: Pick<ControlPlaneSettings, 'namespace' | 'meshName' | 'owner'>,
  namespaces: readonly string[],
  caPem: string,
): Manifest[] {
  const data = { ...trustConfigMapData(caPem, settings.namespace) };
  const objects = synthesize(meshLabels(settings.meshName), (chart) => {
    for (const namespace of namespaces) {
      add(chart, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: trustConfigMapName, namespace }, data });
    }
  });
  return objects.map((object) => ownedOutside(object, settings));
}
