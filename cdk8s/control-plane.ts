/** Injector and controller: what the operator applies for a MeshConfig, save Secrets (kept apart) and webhooks (applied last). */
import { Construct } from 'constructs';
import type { ComponentSettings, ControlPlaneSettings } from './control-plane-settings.ts';
import { add, type Manifest, type Owner, synthesize } from './manifest.ts';
import {
  controllerName,
  injectorName,
  managedByLabel,
  operatorName,
  ports,
  recommendedLabels,
  serviceAccountUidAnnotation,
  tlsSecretName,
  vaultTokenDirectory,
} from './names.ts';
import { addGatewaySecret, addProviderSecrets, bind } from './rights.ts';
import { downwardEnv, type EnvVar, type ProjectedToken, Workload } from './workload.ts';

/** Labels of everything made for a mesh. */
export function meshLabels(meshName: string): Record<string, string> {
  return { ...recommendedLabels(meshName, operatorName), [managedByLabel]: meshName };
}

export function controlPlaneObjects(settings: ControlPlaneSettings): Manifest[] {
  const objects = synthesize(meshLabels(settings.meshName), (chart) => {
    new Component(chart, settings, {
      name: injectorName,
      component: settings.injector,
      bundle: 'injector.mjs',
      containerPorts: { https: ports.webhooks },
      servicePorts: { https: ports.webhooks, health: ports.health },
      env: [
        { name: 'OSM_IMAGE', value: settings.image },
        { name: 'OSM_ENVOY_IMAGE', value: settings.envoyImage },
        { name: 'OSM_NATIVE_SIDECARS', value: String(settings.nativeSidecars) },
      ],
      terminationGraceSeconds: 30,
      // Reviews still arrive for some seconds after the endpoint is withdrawn; a refused one is a refused pod.
      preStopSeconds: 5,
    });
    new Component(chart, settings, {
      name: controllerName,
      component: settings.controller,
      bundle: 'controller.mjs',
      containerPorts: { xds: ports.xds, api: ports.api },
      servicePorts: { xds: ports.xds, api: ports.api, health: ports.health },
      env: Object.entries(controllerAllocator).map(([name, value]) => ({ name, value })),
      nodeFlags: controllerNodeFlags,
      // Shown to Vault alone: the API server takes no token of this audience.
      tokens: [{ audience: 'vault', directory: vaultTokenDirectory }],
      // Streams close over 10 s, so that sidecars do not all move to the other replica at once.
      terminationGraceSeconds: 45,
    });
    bind(chart, controllerName, settings.namespace, 'namespace');
    addProviderSecrets(chart, settings.namespace, settings.providerSecrets);
    if (settings.gatewaySecret !== undefined) addGatewaySecret(chart, settings.namespace, settings.gatewaySecret);
  });
  return objects.map((object) => ownedOutside(object, settings));
}

/**
 * Most of the controller's memory would be what its bursts leave behind: while hundreds of sidecars connect, each is owed a
 * quarter of a megabyte. glibc keeps that for ever, in an arena for each thread, unless it is told to hold one arena, to trim
 * it, and to give buffers from 32 kB on back to the kernel as soon as they are free. V8's young generation is kept small for
 * the same reason. The benchmark `push` runs its controller so, too.
 */
export const controllerAllocator: Readonly<Record<string, string>> = {
  MALLOC_ARENA_MAX: '1',
  MALLOC_TRIM_THRESHOLD_: '65536',
  MALLOC_MMAP_THRESHOLD_: '32768',
};
export const controllerNodeFlags: readonly string[] = ['--max-semi-space-size=4'];

interface ComponentProps {
  readonly name: string;
  readonly component: ComponentSettings;
  readonly bundle: string;
  readonly nodeFlags?: readonly string[];
  readonly containerPorts: Readonly<Record<string, number>>;
  readonly servicePorts: Readonly<Record<string, number>>;
  readonly env: readonly EnvVar[];
  readonly terminationGraceSeconds: number;
  readonly preStopSeconds?: number;
  readonly tokens?: readonly ProjectedToken[];
}

/** Account, rights, Service and Deployment of one program. */
class Component extends Construct {
  constructor(scope: Construct, settings: ControlPlaneSettings, props: ComponentProps) {
    super(scope, props.name);
    const { name, component } = props;
    const { namespace } = settings;
    add(this, { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace } });
    bind(this, name, namespace, 'cluster');
    add(this, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace, labels: { app: name } },
      spec: {
        type: 'ClusterIP',
        selector: { app: name },
        ports: Object.entries(props.servicePorts).map(([portName, port]) => ({
          name: portName,
          port,
          targetPort: portName,
          protocol: 'TCP',
          appProtocol: portName === 'xds' ? 'grpc' : portName === 'https' ? 'https' : 'http',
        })),
      },
    });
    new Workload(this, {
      name,
      namespace,
      replicas: component.replicas,
      resources: component.resources,
      nodeSelector: component.nodeSelector,
      tolerations: component.tolerations,
      affinity: component.affinity,
      image: settings.image,
      imagePullPolicy: settings.imagePullPolicy,
      imagePullSecrets: settings.imagePullSecrets,
      command: ['node', ...(props.nodeFlags ?? []), `/osm/${props.bundle}`],
      env: [
        ...downwardEnv(),
        { name: 'OSM_MESH_NAME', value: settings.meshName },
        { name: 'OSM_LOG_LEVEL', value: 'info' },
        ...props.env,
      ],
      ports: props.containerPorts,
      tlsSecret: tlsSecretName(name),
      ...(props.tokens === undefined ? {} : { tokens: props.tokens }),
      podLabels: recommendedLabels(settings.meshName, operatorName),
      podAnnotations:
        component.serviceAccountUid === undefined ? {} : { [serviceAccountUidAnnotation]: component.serviceAccountUid },
      terminationGraceSeconds: props.terminationGraceSeconds,
      ...(props.preStopSeconds === undefined ? {} : { preStopSeconds: props.preStopSeconds }),
    });
  }
}

/** Sets the owner on an object outside the control plane's namespace: deleting the install then never leaves it behind. */
export function ownedOutside(object: Manifest, { namespace, owner }: { namespace: string; owner: Owner }): Manifest {
  if (object.metadata.namespace === namespace) return object;
  return { ...object, metadata: { ...object.metadata, ownerReferences: [owner] } };
}
