/** From a MeshConfig and the cluster to the settings that the control plane's objects are a function of. */
import type { ControlPlaneSettings } from '#cdk8s/control-plane-settings.ts';
import type { Owner } from '#cdk8s/manifest.ts';
import { controllerName, injectorName, workloadRootSecretName } from '#cdk8s/names.ts';
import type { MeshConfigSpec } from '#crds/types.ts';
import { gatewaySecret } from './gateway.ts';
import type { ComponentName, Observed } from './observed.ts';

export function controlPlaneSettings(spec: MeshConfigSpec, owner: Owner, observed: Observed): ControlPlaneSettings {
  const { controlPlane } = spec;
  return {
    namespace: observed.namespace,
    meshName: spec.meshName,
    image: controlPlane.image ?? observed.defaults.image,
    imagePullPolicy: controlPlane.imagePullPolicy,
    imagePullSecrets: controlPlane.imagePullSecrets ?? [],
    envoyImage: observed.defaults.envoyImage,
    nativeSidecars: nativeSidecars(observed.kubeletVersions),
    injector: { ...controlPlane.injector, serviceAccountUid: serviceAccountUid(injectorName, observed) },
    controller: { ...controlPlane.controller, serviceAccountUid: serviceAccountUid(controllerName, observed) },
    providerSecrets: providerSecrets(observed),
    gatewaySecret: gatewaySecret(spec, observed),
    owner,
  };
}

/** What the controller may read beside the workload root, for which it needs no leave of ours. */
export function providerSecrets({ rootCertificates }: Pick<Observed, 'rootCertificates'>): string[] {
  const named = rootCertificates.flatMap(({ secrets }) => secrets).filter((name) => name !== workloadRootSecretName);
  return [...new Set(named)].toSorted();
}

/** UID of the component's ServiceAccount, or undefined while none is stored. */
export function serviceAccountUid(component: ComponentName, observed: Pick<Observed, 'managed'>): string | undefined {
  const account = observed.managed.find(
    ({ kind, metadata }) => kind === 'ServiceAccount' && metadata.name === component,
  );
  return account?.metadata.uid;
}

/**
 * Whether every kubelet starts restartable init containers (on by default from 1.29). One that does not would wait for
 * Envoy to exit before it starts the application. No node at all (autoscaled to zero, or a test): decided as for new ones.
 */
export function nativeSidecars(kubeletVersions: readonly string[]): boolean {
  return kubeletVersions.every((version) => {
    const match = /^v?(\d+)\.(\d+)/.exec(version);
    if (match === null) return false;
    const [major, minor] = [Number(match[1]), Number(match[2])];
    return major > 1 || (major === 1 && minor >= 29);
  });
}
