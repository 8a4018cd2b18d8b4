import type { ControlPlaneSettings } from '#cdk8s/control-plane-settings.ts';

export const owner = {
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'ClusterRole',
  name: 'osm-install',
  uid: '11111111-2222-3333-4444-555555555555',
};

/** The settings that `spec: {}` gives once the accounts are made, with images of a version that no release changes. */
export function settings(changes: Partial<ControlPlaneSettings> = {}): ControlPlaneSettings {
  return {
    namespace: 'osm-system',
    meshName: 'osm',
    image: 'example.com/osm:test',
    imagePullPolicy: 'IfNotPresent',
    imagePullSecrets: [],
    envoyImage: 'example.com/envoy:test',
    nativeSidecars: true,
    injector: { replicas: 2, serviceAccountUid: 'uid-of-osm-injector' },
    controller: { replicas: 2, serviceAccountUid: 'uid-of-osm-controller' },
    providerSecrets: [],
    gatewaySecret: undefined,
    owner,
    ...changes,
  };
}
