/**
 * Takes an earlier injection back, so that injecting again (another webhook changed the pod in between, or the pod is a
 * copy made by `kubectl debug --copy-to`) starts from what the user wrote.
 */
import { isOurInit, isOurSidecar, isOurVolume, probesOf } from './containers.ts';
import { copyJson } from './copy.ts';
import { type Container, type Pod, allContainers } from './pod.ts';
import { restoreProbes } from './probes.ts';
import { restoreStop } from './shutdown.ts';

export function findSidecar(pod: Pod): Container | undefined {
  return allContainers(pod.spec).find(isOurSidecar);
}

/** The pod without what injection added; the pod itself when nothing was. */
export function restore(pod: Pod): Pod {
  const sidecar = findSidecar(pod);
  if (sidecar === undefined && !allContainers(pod.spec).some(isOurInit)) return pod;
  const spec = copyJson(pod.spec);
  const theirs = (one: Container) => !isOurSidecar(one) && !isOurInit(one);
  spec.containers = spec.containers.filter(theirs);
  spec.initContainers = (spec.initContainers ?? []).filter(theirs);
  spec.volumes = (spec.volumes ?? []).filter((volume) => !isOurVolume(volume));
  // As they were: lists that only injection made are gone again.
  if (spec.initContainers.length === 0) delete spec.initContainers;
  if (spec.volumes.length === 0) delete spec.volumes;
  for (const container of spec.containers) restoreStop(container);
  if (sidecar) restoreProbes(spec, probesOf(sidecar) ?? []);
  return { ...pod, spec };
}
