/**
 * How a pod ends.
 *
 * A native sidecar is stopped by the kubelet after everything else. As an ordinary container (kubelets before 1.29) it
 * gets SIGTERM together with the application, and Envoy would be gone while the application still answers its last
 * requests. So there its preStop hook asks Envoy itself for an answer that comes only when the pod's grace period ends:
 * until then the kubelet leaves it alone. Envoy has no shell to sleep in, and those kubelets know no `preStop.sleep`;
 * the wait that a user may ask for in front of the application's own end is answered by the sidecar in the same way.
 */
import type { EnvoyObject } from './envoy.ts';
import { typeUrl } from './envoy.ts';
import { READY_PORT } from './names.ts';
import type { Container, LifecycleHandler, PodSpec } from './pod.ts';

/** A path of the sidecar's ready port that is answered late. */
export interface Delay {
  readonly path: string;
  /** More than 0. */
  readonly seconds: number;
}

/** What the sidecar itself waits for, and what the application's containers do. */
const HOLD_PATH = '/osm-hold';
const SLEEP_PATH = '/osm-sleep';

/** The default of Kubernetes. */
const defaultGraceSeconds = 30;

/** Seconds between the deletion of a pod and its end by force. */
export function graceSeconds(spec: PodSpec): number {
  return spec.terminationGracePeriodSeconds ?? defaultGraceSeconds;
}

/** What an ordinary sidecar must answer late. 0 seconds are none. */
export function stopDelays(holdSeconds: number, sleepSeconds: number): Delay[] {
  return [
    { path: HOLD_PATH, seconds: holdSeconds },
    { path: SLEEP_PATH, seconds: sleepSeconds },
  ].filter(({ seconds }) => seconds > 0);
}

/** Keeps an ordinary sidecar until the pod's grace period is over; undefined where there is none. */
export function holdHook(delays: readonly Delay[]): LifecycleHandler | undefined {
  return delays.some(({ path }) => path === HOLD_PATH) ? lateAnswer(HOLD_PATH) : undefined;
}

/** Makes containers without a preStop wait before they are stopped. Changes `spec`, which the caller owns. */
export function delayStop(spec: PodSpec, seconds: number, nativeSidecars: boolean): void {
  if (seconds === 0) return;
  for (const container of spec.containers) {
    if (container.lifecycle?.preStop) continue;
    const preStop = nativeSidecars ? { sleep: { seconds } } : lateAnswer(SLEEP_PATH);
    container.lifecycle = { ...container.lifecycle, preStop };
  }
}

/** Undoes `delayStop` where it asked the sidecar. Changes the container, which the caller owns. */
export function restoreStop(container: Container): void {
  const asked = container.lifecycle?.preStop?.httpGet;
  if (asked?.port !== READY_PORT || asked.path !== SLEEP_PATH) return;
  delete container.lifecycle?.preStop;
  if (Object.keys(container.lifecycle ?? {}).length === 0) delete container.lifecycle;
}

/** A route of Envoy that answers 200 when the time is over; the filter `delayFilter` must stand before the router. */
export function delayRoute({ path, seconds }: Delay): EnvoyObject {
  return {
    match: { path },
    direct_response: { status: 200 },
    typed_per_filter_config: {
      f: { '@type': fault, delay: { fixed_delay: `${seconds}s`, percentage: { numerator: 100 } } },
    },
  };
}

const fault = typeUrl('envoy.extensions.filters.http.fault.v3.HTTPFault');

export const delayFilter: EnvoyObject = { name: 'f', typed_config: { '@type': fault } };

function lateAnswer(path: string): LifecycleHandler {
  return { httpGet: { path, port: READY_PORT, scheme: 'HTTP' } };
}
