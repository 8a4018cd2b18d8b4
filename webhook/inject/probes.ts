/**
 * The kubelet asks pods in plaintext, from outside the mesh. Its probes and HTTP hooks are therefore pointed at static
 * listeners of the sidecar, which pass them on: HTTP and hooks by path; tcpSocket by path too, answered from the
 * sidecar's own connection checks, since a connect to the sidecar always succeeds; HTTPS and gRPC byte by byte, on one
 * port for each port of the application. exec probes, and probes of another host, are left as they are.
 */
import { FIRST_RAW_PROBE_PORT, LAST_RAW_PROBE_PORT, PROBE_PORTS } from './names.ts';
import { type Container, type Handler, type HttpGet, type PodSpec, runningContainers } from './pod.ts';

export const SLOTS = ['liveness', 'readiness', 'startup', 'poststart', 'prestop'] as const;
export type Slot = (typeof SLOTS)[number];

/** One rewritten probe or hook: what the user asked for. `listen` is the port that the kubelet asks now. */
export interface ProbeTarget {
  readonly slot: Slot;
  readonly container: string;
  readonly kind: 'http' | 'tcp' | 'https' | 'grpc';
  readonly listen: number;
  readonly port: number;
  /** The user's path and query; empty unless `kind` is `http`. */
  readonly path: string;
}

/** What the kubelet asks for instead, where a path tells targets apart. */
export function probePath(target: Pick<ProbeTarget, 'slot' | 'container' | 'kind'>): string {
  // Each kind of probe has a port of its own, so that the slot need not stand in the path.
  if (target.kind === 'tcp') return `/osm-tcp/${target.container}`;
  const noun = target.slot === 'poststart' || target.slot === 'prestop' ? 'hook' : 'probe';
  return `/osm-${target.slot}-${noun}/${target.container}`;
}

/** The targets of a pod whose probes are as the user wrote them, in container order. */
export function probeTargets(spec: PodSpec): ProbeTarget[] {
  const targets: ProbeTarget[] = [];
  const rawPorts = new Map<number, number>();
  const rawPort = (port: number) => {
    const listen = rawPorts.get(port) ?? FIRST_RAW_PROBE_PORT + rawPorts.size;
    rawPorts.set(port, listen);
    return listen;
  };
  for (const container of runningContainers(spec)) {
    for (const slot of SLOTS) {
      const handler = handlerOf(container, slot);
      const asked = handler && askedOf(handler, container);
      if (asked === undefined) continue;
      const raw = asked.kind === 'https' || asked.kind === 'grpc';
      targets.push({
        slot,
        container: container.name,
        listen: raw ? rawPort(asked.port) : sharedPort(slot),
        ...asked,
      });
    }
  }
  return targets;
}

/** True when there are more ports to pass on byte by byte than listeners for them. */
export function exceedsRawPorts(targets: readonly ProbeTarget[]): boolean {
  return targets.some((target) => target.listen > LAST_RAW_PROBE_PORT);
}

/** Points the probes of the targets at the sidecar. Changes `spec`, which the caller owns. */
export function rewriteProbes(spec: PodSpec, targets: readonly ProbeTarget[]): void {
  for (const { handler, target } of handlersOf(spec, targets)) {
    switch (target.kind) {
      case 'http':
        handler.httpGet = { ...handler.httpGet, path: probePath(target), port: target.listen };
        break;
      case 'https':
        handler.httpGet = { ...handler.httpGet, port: target.listen };
        break;
      case 'grpc':
        handler.grpc = { ...handler.grpc, port: target.listen };
        break;
      case 'tcp':
        delete handler.tcpSocket;
        handler.httpGet = { path: probePath(target), port: target.listen, scheme: 'HTTP' };
        break;
    }
  }
}

/** Undoes `rewriteProbes`, for what is still as it left it. Changes `spec`, which the caller owns. */
export function restoreProbes(spec: PodSpec, targets: readonly ProbeTarget[]): void {
  for (const { handler, target } of handlersOf(spec, targets)) {
    const asked = handler.httpGet?.port ?? handler.grpc?.port;
    if (asked !== target.listen) continue;
    switch (target.kind) {
      case 'http':
        handler.httpGet = { ...handler.httpGet, path: target.path, port: target.port };
        break;
      case 'https':
        handler.httpGet = { ...handler.httpGet, port: target.port };
        break;
      case 'grpc':
        handler.grpc = { ...handler.grpc, port: target.port };
        break;
      case 'tcp':
        delete handler.httpGet;
        handler.tcpSocket = { port: target.port };
        break;
    }
  }
}

function* handlersOf(spec: PodSpec, targets: readonly ProbeTarget[]) {
  const containers = new Map(runningContainers(spec).map((container) => [container.name, container]));
  for (const target of targets) {
    const container = containers.get(target.container);
    const handler = container && handlerOf(container, target.slot);
    if (handler) yield { handler, target };
  }
}

function handlerOf(container: Container, slot: Slot): Handler | undefined {
  switch (slot) {
    case 'liveness':
      return container.livenessProbe;
    case 'readiness':
      return container.readinessProbe;
    case 'startup':
      return container.startupProbe;
    case 'poststart':
      return container.lifecycle?.postStart;
    case 'prestop':
      return container.lifecycle?.preStop;
  }
}

/** The port of HTTP, TCP and hooks. */
export function sharedPort(slot: Slot): number {
  return slot === 'poststart' || slot === 'prestop' ? PROBE_PORTS.liveness : PROBE_PORTS[slot];
}

type Asked = Pick<ProbeTarget, 'kind' | 'port' | 'path'>;

function askedOf(handler: Handler, container: Container): Asked | undefined {
  const { httpGet, tcpSocket, grpc } = handler;
  if (httpGet && !httpGet.host) {
    const port = portNumber(httpGet.port, container);
    if (port === undefined) return undefined;
    return isHttps(httpGet)
      ? { kind: 'https', port, path: '' }
      : { kind: 'http', port, path: absolute(httpGet.path ?? '/') };
  }
  if (tcpSocket && !tcpSocket.host) {
    const port = portNumber(tcpSocket.port, container);
    return port === undefined ? undefined : { kind: 'tcp', port, path: '' };
  }
  return grpc ? { kind: 'grpc', port: grpc.port, path: '' } : undefined;
}

function isHttps(get: HttpGet): boolean {
  return get.scheme?.toUpperCase() === 'HTTPS';
}

function absolute(path: string): string {
  return path.startsWith('/') ? path : `/${path}`;
}

/** A port's number. Undefined for a name that the container does not have: the kubelet then reports it as it always did. */
function portNumber(port: number | string, container: Container): number | undefined {
  if (typeof port === 'number') return port;
  if (/^[0-9]+$/.test(port)) return Number(port);
  return container.ports?.find((one) => one.name === port)?.containerPort;
}
