/** What is told as an Event, and the object that the API server takes (`events.k8s.io/v1`). */
import { microTime } from './lease.ts';
import type { KubeObject } from './types.ts';

export interface EventNote {
  /** The object it is about: of it apiVersion, kind and metadata are read. */
  readonly regarding: KubeObject;
  /** The field of it that is at fault, e.g. `spec.ports[0].appProtocol`. */
  readonly fieldPath?: string;
  readonly type: 'Normal' | 'Warning';
  /** CamelCase, stable. */
  readonly reason: string;
  /** What was done or tried, CamelCase. */
  readonly action: string;
  /** A sentence; cut at 1,024 bytes. */
  readonly note: string;
}

export interface Reporter {
  /** E.g. `openservicemesh.io/osm-operator`. */
  readonly controller: string;
  /** The pod's name. */
  readonly instance: string;
}

/** Bytes of a note; the API server refuses an event with more. */
const longestNote = 1_024;

/** `at` is in milliseconds since 1970. */
export function eventObject(event: EventNote, name: string, reporter: Reporter, at: number): KubeObject {
  const { apiVersion, kind, metadata } = event.regarding;
  const { uid, resourceVersion } = metadata;
  const regarding = { apiVersion, kind, name: metadata.name, namespace: metadata.namespace, uid, resourceVersion };
  return {
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    metadata: { name, namespace: eventNamespace(event.regarding) },
    eventTime: microTime(at),
    reportingController: reporter.controller,
    reportingInstance: reporter.instance,
    type: event.type,
    reason: event.reason,
    action: event.action,
    note: cut(event.note),
    regarding: event.fieldPath === undefined ? regarding : { ...regarding, fieldPath: event.fieldPath },
  } as KubeObject;
}

/** Events of cluster-scoped objects live in `default`. */
export function eventNamespace({ metadata }: KubeObject): string {
  return metadata.namespace || 'default';
}

/** A DNS subdomain of at most 253 characters, whatever the length of the object's name. */
export function eventName(object: string, suffix: string): string {
  return `${object.slice(0, 200).replace(/[^a-z0-9]+$/, '')}.${suffix}`;
}

/** Never half a character. */
function cut(note: string): string {
  const bytes = Buffer.from(note);
  if (bytes.length <= longestNote) return note;
  return `${new TextDecoder().decode(bytes.subarray(0, longestNote - 6)).replace(/\uFFFD$/, '')}…`;
}
