/** Writes the controller's conditions on the MeshConfig: its own entries of the list, by its own field manager. */
import { type Condition, mergeConditions, sameConditions } from '#kubernetes/conditions.ts';
import { MeshConfigs } from '#kubernetes/kinds.ts';
import type { KubeObject, KubernetesClient } from '#kubernetes/types.ts';
import { type ConditionValue, passingTypes } from './mesh-conditions.ts';

const fieldManager = 'osm-controller';

export interface MeshStatusWriter {
  /**
   * Writes when something else is there. `meshConfig` is the object as the store has it. Throws what the API server
   * refuses; it refuses (409, 404) when the MeshConfig was deleted meanwhile, or made again.
   */
  write(meshConfig: KubeObject, values: readonly ConditionValue[]): Promise<boolean>;
}

export function createMeshStatusWriter(
  client: Pick<KubernetesClient, 'apply'>,
  now: () => number = Date.now,
): MeshStatusWriter {
  // The store lags behind our own writes: until it moves on, this is what we wrote.
  let written: { readonly uid: string; readonly before: string; readonly conditions: readonly Condition[] } | undefined;

  return {
    async write(meshConfig, values) {
      const { name, namespace, uid = '', resourceVersion = '', generation = 0 } = meshConfig.metadata;
      const types = new Set([...passingTypes, ...values.map(({ type }) => type)]);
      const stored = (meshConfig.status as { conditions?: readonly Condition[] } | undefined)?.conditions ?? [];
      const current =
        written?.uid === uid && written.before === resourceVersion
          ? written.conditions
          : stored.filter(({ type }) => types.has(type));
      const wanted = values.map((value) => ({ ...value, observedGeneration: generation }));
      const conditions = mergeConditions(current, wanted, now());
      if (sameConditions(current, conditions)) return false;
      const { apiVersion, kind } = meshConfig;
      // The UID is a precondition: a MeshConfig of the same name that is made later starts with a clean status.
      const metadata = namespace === undefined ? { name, uid } : { name, namespace, uid };
      await client.apply<KubeObject>(
        MeshConfigs,
        { apiVersion, kind, metadata, status: { conditions } },
        { fieldManager, force: true, subresource: 'status' },
      );
      written = { uid, before: resourceVersion, conditions };
      return true;
    },
  };
}
