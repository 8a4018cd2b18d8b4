/** Puts a pod into the mesh. */
import { preStopSleepOf, redirectOf } from './annotations.ts';
import { initContainer, sidecarContainer, sidecarVolumes } from './containers.ts';
import { copyJson } from './copy.ts';
import { DEFAULT_CONTAINER, METRICS_PORT } from './names.ts';
import type { Pod, PodSpec } from './pod.ts';
import { probeTargets, rewriteProbes } from './probes.ts';
import { restore } from './restore.ts';
import type { InjectSettings } from './settings.ts';
import { delayStop, graceSeconds, stopDelays } from './shutdown.ts';

/**
 * Pure, deterministic and idempotent: `inject(inject(pod)) = inject(pod)`. The pod must be one that `decide` injects.
 *
 * @returns a new pod; the argument is not changed.
 */
export function inject(pod: Pod, settings: InjectSettings): Pod {
  const original = restore(pod);
  const spec = withOwnContainers(original.spec);
  const probes = probeTargets(spec);
  rewriteProbes(spec, probes);
  // The mesh's own wait leaves the application a second of a short grace period: Kubernetes refuses a pod that waits longer.
  const meshSleep = Math.min(settings.preStopSleepSeconds, Math.max(graceSeconds(spec) - 1, 0));
  const sleepSeconds = preStopSleepOf(pod, meshSleep);
  delayStop(spec, sleepSeconds, settings.nativeSidecars);
  const delays = settings.nativeSidecars ? [] : stopDelays(graceSeconds(spec), sleepSeconds);
  const init = initContainer(settings, redirectOf(pod, settings));
  const sidecar = sidecarContainer(settings, { probes, delays });
  const annotations = annotationsOf(original, settings);
  return {
    ...pod,
    metadata: { ...pod.metadata, annotations },
    spec: {
      ...spec,
      initContainers: [init, ...(settings.nativeSidecars ? [sidecar] : []), ...(spec.initContainers ?? [])],
      containers: [...(settings.nativeSidecars ? [] : [sidecar]), ...spec.containers],
      volumes: [...(spec.volumes ?? []), ...sidecarVolumes()],
    },
  };
}

/** Sentences for the user about what injection could not do as asked. */
export function warningsOf(pod: Pod, settings: InjectSettings): string[] {
  const own = settings.scrape ? ownScrapeAnnotations(pod) : [];
  if (own.length === 0) return [];
  return [
    `the pod keeps its own ${own.join(', ')}: Prometheus scrapes the application, not the sidecar (port ${METRICS_PORT}, path /stats/prometheus)`,
  ];
}

const SCRAPE: Readonly<Record<string, string>> = {
  'prometheus.io/scrape': 'true',
  'prometheus.io/port': String(METRICS_PORT),
  'prometheus.io/path': '/stats/prometheus',
};

/** All three or none: a mixture would scrape the application's path at the sidecar's port. */
function ownScrapeAnnotations(pod: Pod): string[] {
  const annotations = pod.metadata.annotations ?? {};
  return Object.keys(SCRAPE).filter((key) => annotations[key] !== undefined && annotations[key] !== SCRAPE[key]);
}

/** @param pod as the user wrote it. */
function annotationsOf(pod: Pod, settings: InjectSettings): Record<string, string> {
  const annotations = { ...pod.metadata.annotations };
  if (settings.scrape && ownScrapeAnnotations(pod).length === 0) Object.assign(annotations, SCRAPE);
  const [application] = pod.spec.containers;
  // kubectl logs and exec would choose the first container, which may be the sidecar.
  if (application) annotations[DEFAULT_CONTAINER] ??= application.name;
  return annotations;
}

/** Containers are copied, since their probes and hooks change; everything else is shared with the argument. */
function withOwnContainers(spec: PodSpec): PodSpec {
  return {
    ...spec,
    containers: copyJson(spec.containers),
    ...(spec.initContainers && { initContainers: copyJson(spec.initContainers) }),
  };
}
