/** What injection is a function of, besides the pod. */
import { durationMs } from '#crds/duration.ts';
import { meaningOf } from '#crds/on-off.ts';
import type { MeshConfig } from '#crds/types.ts';
import { METRICS } from './names.ts';
import type { RedirectOptions } from './iptables.ts';
import type { Namespace, Resources } from './pod.ts';

/** The mesh's part: from MeshConfig and the injector's environment. */
export interface MeshInjection extends RedirectOptions {
  readonly meshName: string;
  readonly controlPlaneNamespace: string;
  readonly nativeSidecars: boolean;
  readonly envoyImage: string;
  readonly initImage: string;
  readonly logLevel: string;
  readonly privilegedInit: boolean;
  /** Undefined: the small defaults of the sidecar. */
  readonly sidecarResources: Resources | undefined;
  /** Seconds that containers without a preStop wait before they are stopped; 0 is off. */
  readonly preStopSleepSeconds: number;
  /** Seconds that open connections go on after the listener's rules for them have changed; at least 1. */
  readonly drainSeconds: number;
}

/** With what the pod's namespace adds. */
export interface InjectSettings extends MeshInjection {
  /** Ask Prometheus to scrape the sidecar. */
  readonly scrape: boolean;
}

export function settingsFor(mesh: MeshInjection, namespace: Namespace): InjectSettings {
  return { ...mesh, scrape: meaningOf(namespace.metadata.annotations?.[METRICS]) === 'on' };
}

/** What the injector knows from its own environment. */
export interface InjectorDefaults {
  readonly meshName: string;
  readonly controlPlaneNamespace: string;
  readonly nativeSidecars: boolean;
  readonly image: string;
  readonly envoyImage: string;
}

export function meshInjection(spec: MeshConfig['spec'], defaults: InjectorDefaults): MeshInjection {
  const { sidecar, traffic } = spec;
  return {
    meshName: defaults.meshName,
    controlPlaneNamespace: defaults.controlPlaneNamespace,
    nativeSidecars: defaults.nativeSidecars,
    envoyImage: sidecar.envoyImage || defaults.envoyImage,
    initImage: sidecar.initContainerImage || defaults.image,
    logLevel: sidecar.logLevel,
    privilegedInit: sidecar.enablePrivilegedInitContainer,
    sidecarResources: sidecar.resources,
    // preStop.sleep counts whole seconds.
    preStopSleepSeconds: Math.ceil((durationMs(sidecar.preStopSleep ?? '0s') ?? 0) / 1000),
    drainSeconds: Math.ceil((durationMs(sidecar.drainTime) ?? 5000) / 1000),
    localProxyMode: sidecar.localProxyMode,
    outboundRangeExclusions: traffic.outboundIPRangeExclusionList ?? [],
    outboundRangeInclusions: traffic.outboundIPRangeInclusionList ?? [],
    outboundPortExclusions: traffic.outboundPortExclusionList ?? [],
    inboundPortExclusions: traffic.inboundPortExclusionList ?? [],
    interfaceExclusions: traffic.networkInterfaceExclusionList ?? [],
  };
}
