/**
 * One simulated sidecar: its own TLS connection, the delta protocol as Envoy speaks it, and no more work than that, so that
 * the measured thing is the controller. It accepts everything.
 */
import { type ClientHttp2Stream, connect } from 'node:http2';
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { CLUSTER, ENDPOINTS, LISTENER, ROUTES, SECRET } from '#xds/cache/types.ts';

export interface SidecarOptions {
  readonly port: number;
  readonly rootsPem: string;
  readonly serverName: string;
  readonly token: string;
  /** `<namespace>/<pod>/<uid>`. */
  readonly node: string;
  /** Names of the route configurations that its listeners ask for. */
  readonly routes: readonly string[];
}

/** An answered response. */
export interface Answered {
  readonly type: string;
  readonly names: readonly string[];
  readonly bytes: number;
}

export interface Sidecar {
  /** Names held, by type URL. */
  readonly held: ReadonlyMap<string, ReadonlySet<string>>;
  /** True when clusters have their endpoints, and listeners, routes and secrets are there. */
  complete(): boolean;
  close(): void;
}

/** `answered` is called after each acknowledgement was written, `ended` when the stream is over. */
export function openSidecar(
  options: SidecarOptions,
  answered: (response: Answered) => void,
  ended: (why: string) => void,
): Sidecar {
  const held = new Map<string, Set<string>>();
  const session = connect(`https://127.0.0.1:${options.port}`, {
    ca: options.rootsPem,
    servername: options.serverName,
    // As Envoy: big enough that no response waits for a window.
    settings: { initialWindowSize: 1 << 20 },
  });
  session.on('error', (error) => ended(error.message));
  const stream: ClientHttp2Stream = session.request({
    ':method': 'POST',
    ':path': '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources',
    'content-type': 'application/grpc',
    te: 'trailers',
    authorization: `Bearer ${options.token}`,
  });
  const ask = (request: Request): void => {
    if (!stream.writable) return;
    stream.write(frame(encodeRequest(request)));
  };
  let unread: Buffer = Buffer.alloc(0);
  stream.on('data', (chunk: Buffer) => {
    unread = unread.length === 0 ? chunk : Buffer.concat([unread, chunk]);
    while (unread.length >= 5) {
      const length = unread.readUInt32BE(1);
      if (unread.length < 5 + length) return;
      take(unread.subarray(5, 5 + length));
      unread = unread.subarray(5 + length);
    }
  });
  stream.on('trailers', (headers) => ended(`${String(headers['grpc-status'])} ${String(headers['grpc-message'])}`));
  stream.on('error', (error) => ended(error.message));
  stream.on('close', () => ended('closed'));

  function take(bytes: Buffer): void {
    const { type, nonce, names, removed } = decodeResponse(bytes);
    const had = held.get(type) ?? new Set<string>();
    held.set(type, had);
    const first = had.size === 0;
    const added = names.filter((name) => !had.has(name));
    for (const name of names) had.add(name);
    for (const name of removed) had.delete(name);
    ask({ type, nonce });
    if (type === CLUSTER) {
      const services = (list: readonly string[]): string[] => list.filter((name) => name.includes('|'));
      if (services(added).length + services(removed).length > 0) {
        ask({ type: ENDPOINTS, subscribe: services(added), unsubscribe: services(removed) });
      }
      for (const name of removed) held.get(ENDPOINTS)?.delete(name);
    }
    if (type === LISTENER && first) ask({ type: ROUTES, subscribe: options.routes });
    answered({ type, names, bytes: bytes.length });
  }

  ask({ type: CLUSTER, node: options.node });
  ask({ type: LISTENER });
  ask({ type: SECRET, subscribe: ['workload', 'roots'] });

  return {
    held,
    complete() {
      const count = (type: string): number => held.get(type)?.size ?? 0;
      const clusters = [...(held.get(CLUSTER) ?? [])].filter((name) => name.includes('|'));
      const endpoints = held.get(ENDPOINTS);
      return (
        held.has(CLUSTER) &&
        clusters.every((name) => endpoints?.has(name)) &&
        count(SECRET) === 2 &&
        count(LISTENER) > 0 &&
        count(ROUTES) === options.routes.length
      );
    },
    close: () => session.destroy(),
  };
}

interface Request {
  readonly type: string;
  readonly node?: string;
  readonly nonce?: string;
  readonly subscribe?: readonly string[];
  readonly unsubscribe?: readonly string[];
}

function encodeRequest({ type, node, nonce, subscribe = [], unsubscribe = [] }: Request): Uint8Array {
  const writer = new BinaryWriter();
  if (node !== undefined)
    writer.tag(1, WireType.LengthDelimited).fork().tag(1, WireType.LengthDelimited).string(node).join();
  writer.tag(2, WireType.LengthDelimited).string(type);
  for (const name of subscribe) writer.tag(3, WireType.LengthDelimited).string(name);
  for (const name of unsubscribe) writer.tag(4, WireType.LengthDelimited).string(name);
  if (nonce !== undefined) writer.tag(6, WireType.LengthDelimited).string(nonce);
  return writer.finish();
}

/** gRPC's prefix: not compressed, and the length. */
function frame(message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** Names only: what the resources hold is the controller's own business. */
function decodeResponse(bytes: Uint8Array): { type: string; nonce: string; names: string[]; removed: string[] } {
  const reader = new BinaryReader(bytes);
  const result = { type: '', nonce: '', names: [] as string[], removed: [] as string[] };
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    if (field === 2) result.names.push(nameOf(reader.bytes()));
    else if (field === 4) result.type = reader.string();
    else if (field === 5) result.nonce = reader.string();
    else if (field === 6) result.removed.push(reader.string());
    else reader.skip(wire, field);
  }
  return result;
}

function nameOf(resource: Uint8Array): string {
  const reader = new BinaryReader(resource);
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    if (field === 3) return reader.string();
    reader.skip(wire, field);
  }
  return '';
}
