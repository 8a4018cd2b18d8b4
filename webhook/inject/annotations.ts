/** What a pod's annotations add to the settings of the mesh. */
import { parsePorts, parseRanges, type Parsed } from './lists.ts';
import {
  INBOUND_PORT_EXCLUSIONS,
  OUTBOUND_PORT_EXCLUSIONS,
  OUTBOUND_RANGE_EXCLUSIONS,
  OUTBOUND_RANGE_INCLUSIONS,
  PRESTOP_SLEEP,
} from './names.ts';
import type { RedirectOptions } from './iptables.ts';
import type { Pod } from './pod.ts';
import { type Refusal, refuse } from './reasons.ts';

/** A pod's own redirect lists, merged with the mesh's: ports behind them, ranges before them, each once. */
export function redirectOf(pod: Pod, mesh: RedirectOptions): RedirectOptions {
  const annotation = (key: string) => pod.metadata.annotations?.[key];
  const ports = (key: string) => valuesOf(parsePorts(annotation(key)));
  const ranges = (key: string) => valuesOf(parseRanges(annotation(key)));
  const once = <T>(values: readonly T[]) => [...new Set(values)];
  return {
    localProxyMode: mesh.localProxyMode,
    interfaceExclusions: once(mesh.interfaceExclusions),
    inboundPortExclusions: once([...mesh.inboundPortExclusions, ...ports(INBOUND_PORT_EXCLUSIONS)]),
    outboundPortExclusions: once([...mesh.outboundPortExclusions, ...ports(OUTBOUND_PORT_EXCLUSIONS)]),
    outboundRangeExclusions: once([...ranges(OUTBOUND_RANGE_EXCLUSIONS), ...mesh.outboundRangeExclusions]),
    outboundRangeInclusions: once([...ranges(OUTBOUND_RANGE_INCLUSIONS), ...mesh.outboundRangeInclusions]),
  };
}

/** Seconds of the pod's own opt-in, else the mesh's; 0 is off. */
export function preStopSleepOf(pod: Pod, meshSeconds: number): number {
  const text = pod.metadata.annotations?.[PRESTOP_SLEEP];
  return text === undefined ? meshSeconds : (seconds(text) ?? meshSeconds);
}

/** The first annotation that cannot be read. */
export function unreadableAnnotation(pod: Pod): Refusal | undefined {
  for (const key of [OUTBOUND_PORT_EXCLUSIONS, INBOUND_PORT_EXCLUSIONS]) {
    const parsed = parsePorts(pod.metadata.annotations?.[key]);
    if (!parsed.ok) {
      return refuse('invalid-port-annotation', `annotation ${key}: ${show(parsed.bad)} is not a port from 1 to 65535`);
    }
  }
  for (const key of [OUTBOUND_RANGE_EXCLUSIONS, OUTBOUND_RANGE_INCLUSIONS]) {
    const parsed = parseRanges(pod.metadata.annotations?.[key]);
    if (!parsed.ok) {
      return refuse(
        'invalid-range-annotation',
        `annotation ${key}: ${show(parsed.bad)} is not an address range such as 10.0.0.0/8 or fd00::/8`,
      );
    }
  }
  const sleep = pod.metadata.annotations?.[PRESTOP_SLEEP];
  if (sleep !== undefined && seconds(sleep) === undefined) {
    return refuse(
      'invalid-prestop-sleep',
      `annotation ${PRESTOP_SLEEP}: ${show(sleep)} is not a number of seconds from 0 to 3600`,
    );
  }
  return undefined;
}

function seconds(text: string): number | undefined {
  const value = /^[0-9]{1,4}$/.test(text) ? Number(text) : Number.NaN;
  return value <= 3600 ? value : undefined;
}

/** `decide` has refused what cannot be read. */
function valuesOf<T>(parsed: Parsed<T>): T[] {
  return parsed.ok ? parsed.values : [];
}

function show(text: string): string {
  return `"${text.slice(0, 64)}"`;
}
