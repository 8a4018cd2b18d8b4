/** From the stores, and from our own writes that they do not show yet, to what a plan is made from. */
import {
  controllerName,
  controlPlaneCaSecretName,
  guardConfigMapName,
  injectorName,
  meshConfigName,
  ownerRoleName,
  tlsSecretName,
  workloadRootSecretName,
} from '#cdk8s/names.ts';
import { parseMeshConfig } from '#crds/parse.ts';
import type { KubeObject } from '#kubernetes/types.ts';
import { rotateAnnotation } from './ca-secret.ts';
import { readAuthority, readServingCertificate, readTrusted, readWorkloadRoot } from './certificate-secrets.ts';
import { rotateRootAnnotation } from './root-secret.ts';
import type { OwnWrites } from './own-writes.ts';
import type { DesiredMesh, ManagedObject, Observed } from './plan/observed.ts';
import type { Stores } from './stores.ts';

export interface ObserveOptions {
  readonly namespace: string;
  readonly defaults: Observed['defaults'];
  readonly waits: Observed['waits'];
  readonly rootWaits: Observed['rootWaits'];
  readonly followedSince: Observed['followedSince'];
  readonly replicas?: Observed['replicas'];
  readonly injectorAnswers?: Observed['injectorAnswers'];
  readonly controllers?: Observed['controllers'];
  /** Milliseconds since the epoch. */
  readonly now: number;
}

export function observe(stores: Stores, writes: OwnWrites, options: ObserveOptions): Observed {
  const { namespace, defaults, waits, rootWaits, followedSince, replicas, controllers, injectorAnswers, now } = options;
  const secret = (name: string): ManagedObject | undefined => storedSecret(stores, writes, `${namespace}/${name}`, now);
  const controlPlaneCa = readAuthority(secret(controlPlaneCaSecretName), controlPlaneCaSecretName);
  const tls = {
    [injectorName]: secret(tlsSecretName(injectorName)),
    [controllerName]: secret(tlsSecretName(controllerName)),
  };
  const annotations = stores.meshConfigs.store.get(`${namespace}/${meshConfigName}`)?.metadata.annotations;
  const owner = stores.ownerRole.store.get(ownerRoleName);
  const ownWrites = writes.overlay(
    [...stores.managed, ...stores.secrets].flatMap((reflector) => [...reflector.store.values()]),
    now,
  );
  const managed = ownWrites.filter(isPrunable).sort(byRef);
  return {
    now,
    namespace,
    defaults,
    owner:
      owner?.metadata.uid === undefined || owner.metadata.deletionTimestamp !== undefined
        ? undefined
        : {
            apiVersion: 'rbac.authorization.k8s.io/v1',
            kind: 'ClusterRole',
            name: ownerRoleName,
            uid: owner.metadata.uid,
          },
    namespaces: [...stores.namespaces.store.values()],
    kubeletVersions: [...stores.nodes.store.values()].sort(),
    managed,
    guard: guardState(stores, writes, namespace, now),
    controlPlaneCa,
    workloadRoot: readWorkloadRoot(secret(workloadRootSecretName), workloadRootSecretName),
    rootCertificates: [...stores.rootCertificates.store.values()],
    serving: {
      [injectorName]: readServingCertificate(tls[injectorName]),
      [controllerName]: readServingCertificate(tls[controllerName]),
    },
    trusted: readTrusted(managed, Object.values(tls), now),
    replicas,
    injectorAnswers,
    waits,
    rotationRequest: annotations?.[rotateAnnotation],
    controllers,
    rootWaits,
    followedSince,
    rootRequest: annotations?.[rotateRootAnnotation],
  };
}

/** The MeshConfig and its parse; absent too while it is being deleted. */
export function desiredMesh(
  stores: Stores,
  namespace: string,
): { object: KubeObject | undefined; desired: DesiredMesh } {
  const object = stores.meshConfigs.store.get(`${namespace}/${meshConfigName}`);
  if (object === undefined || object.metadata.deletionTimestamp !== undefined) {
    return { object: undefined, desired: { kind: 'absent' } };
  }
  const parsed = parseMeshConfig(object);
  return {
    object,
    desired: parsed.ok ? { kind: 'valid', spec: parsed.value.spec } : { kind: 'invalid', errors: parsed.errors },
  };
}

export function storedSecret(stores: Stores, writes: OwnWrites, key: string, now: number): ManagedObject | undefined {
  const stored = stores.secrets.map((reflector) => reflector.store.get(key)).find((object) => object !== undefined);
  return writes.newest(`Secret/${key}`, stored, now);
}

function guardState(stores: Stores, writes: OwnWrites, namespace: string, now: number): string | undefined {
  const key = `${namespace}/${guardConfigMapName}`;
  return writes.newest(`ConfigMap/${key}`, stores.guard.store.get(key), now)?.data?.['state'];
}

/** The authorities and the guard outlive a mesh: a new one must trust what the old one's sidecars trusted. */
function isPrunable(object: ManagedObject): boolean {
  const { name } = object.metadata;
  return ![controlPlaneCaSecretName, workloadRootSecretName, guardConfigMapName].includes(name);
}

function byRef(a: ManagedObject, b: ManagedObject): number {
  const key = ({ kind, metadata }: ManagedObject) => `${kind}/${metadata.namespace ?? ''}/${metadata.name}`;
  return key(a) < key(b) ? -1 : 1;
}
