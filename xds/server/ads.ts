/** The gRPC server of sidecars: transport, authentication and the life of streams. The protocol itself is pure. */
import { experimental, Metadata, Server, type ServerDuplexStream, status } from '@grpc/grpc-js';
import type { ProxySnapshot } from '#xds/cache/snapshot.ts';
import { SHORT_NAME, isTypeUrl, type TypeUrl } from '#xds/cache/types.ts';
import { type AuthenticatedProxy, type Authenticator, tokenIn } from './auth.ts';
import type { Refusal } from './refusal.ts';
import { closeConnection } from './connection.ts';
import { foreignSecrets } from './foreign-secrets.ts';
import type { DeltaRequest } from './messages.ts';
import { type Nack, ProxyStream } from './stream.ts';
import { claimedNodeId } from './token.ts';
import { decodeRequest, encodeResponse } from './wire.ts';

const SERVICE = '/envoy.service.discovery.v3.AggregatedDiscoveryService';

/** Where snapshots come from. */
export interface SnapshotSource {
  /** Calls `onSnapshot` with the current snapshot as soon as there is one, and with each newer one, until closed. */
  connect(stream: ProxyStream, onSnapshot: (snapshot: ProxySnapshot) => void): { close(): void };
}

/** What happens on streams: for logs, metrics and whoever waits for acknowledgements. */
export interface AdsEvents {
  opened?(stream: ProxyStream): void;
  closed?(stream: ProxyStream, reason: string): void;
  refused?(refusal: Refusal | { key: 'too-many-connections' | 'draining'; message: string }, peer: PeerInfo): void;
  /** The stream goes on, and the names are answered with nothing. */
  secretsDenied?(stream: ProxyStream, names: readonly string[]): void;
  /** `closeStreams` ends it; `closed` follows. */
  expelled?(stream: ProxyStream, refusal: Refusal): void;
  sent?(stream: ProxyStream, type: string, bytes: number): void;
  acked?(stream: ProxyStream, type: TypeUrl): void;
  nacked?(stream: ProxyStream, nack: Nack): void;
}

export interface PeerInfo {
  readonly address: string;
  /** What the client says of itself, or its token where it was not heard: for the log only. */
  readonly nodeId: string | undefined;
}

export interface AdsOptions {
  readonly authenticator: Authenticator;
  readonly source: SnapshotSource;
  /** Certificate provider of the serving certificate. */
  readonly certificate: experimental.CertificateProvider;
  readonly events?: AdsEvents;
  /** Names of the secrets that each sidecar has. */
  readonly secretNames: readonly string[];
  /** Streams beyond this are refused; 0 is no limit. Asked at each new stream, so a changed MeshConfig counts at once. */
  readonly maxStreams?: () => number;
  readonly now?: () => number;
  /** Uniform in [0, 1): jitter of the streams' age. */
  readonly random?: () => number;
  /** A stream is closed at a random age between these, in milliseconds, so that replicas share the sidecars anew. */
  readonly streamAgeMs?: { readonly min: number; readonly max: number };
  /** How long a client may be silent before its first request, in milliseconds. */
  readonly firstRequestMs?: number;
}

export interface AdsServer {
  /** `host:port`; port 0 picks a free one. Returns the port. */
  listen(address: string): Promise<number>;
  streams(): Iterable<ProxyStream>;
  /** Ends the streams that match; returns how many. Their sidecars come back and are judged anew. */
  closeStreams(matches: (proxy: AuthenticatedProxy) => boolean, refusal: Refusal): number;
  /** Refuses new streams, ends the others spread over `spreadMs`, then closes. */
  drain(spreadMs: number): Promise<void>;
  /** At once. */
  close(): void;
}

type Call = ServerDuplexStream<DeltaRequest, Buffer>;
type End = (code: status, message: string) => void;

export function createAdsServer(options: AdsOptions): AdsServer {
  const { events = {}, now = Date.now, random = Math.random, maxStreams = () => 0 } = options;
  const { streamAgeMs = { min: 30 * 60_000, max: 60 * 60_000 }, firstRequestMs = 15_000 } = options;
  const ownSecrets = new Set(options.secretNames);
  const open = new Map<ProxyStream, End>();
  let pending = 0;
  let draining = false;
  const server = new Server({
    'grpc.max_receive_message_length': 16 * 1024 * 1024,
    // Responses come in portions, but a resource is whole: one that gRPC refused would end the stream again and again.
    'grpc.max_send_message_length': -1,
    'grpc.keepalive_time_ms': 60_000,
    'grpc.keepalive_timeout_ms': 20_000,
    'grpc-node.flow_control_window': 1024 * 1024,
  });

  function accept(call: Call): void {
    const authorization = call.metadata.get('authorization')[0]?.toString();
    const peer = { address: call.getPeer(), nodeId: claimedNodeId(tokenIn(authorization)) };
    let heard = false;
    const timers = new Set<NodeJS.Timeout>();
    const early: DeltaRequest[] = [];
    let stream: ProxyStream | undefined;
    let feed: { close(): void } | undefined;
    let over = false;

    const finish = (reason: string): void => {
      if (over) return;
      over = true;
      for (const timer of timers) clearTimeout(timer);
      feed?.close();
      if (stream === undefined) {
        pending -= 1;
        return;
      }
      open.delete(stream);
      events.closed?.(stream, reason);
    };
    const end: End = (code, message) => {
      if (over) return;
      finish(message);
      call.emit('error', { code, details: message, metadata: new Metadata() });
    };
    const turnAway = (
      refusal: Refusal | { key: 'too-many-connections' | 'draining'; message: string },
      code: status,
    ): void => {
      if (over) return;
      events.refused?.(refusal, peer);
      end(code, `${refusal.key}: ${refusal.message}`);
    };
    const after = (ms: number, act: () => void): void => {
      timers.add(setTimeout(act, ms).unref());
    };

    pending += 1;
    call.on('cancelled', () => finish('the client went away'));
    call.on('close', () => finish('the connection was closed'));
    call.on('error', () => finish('the connection broke'));
    call.on('end', () => {
      finish('the client ended the stream');
      call.end();
    });
    if (draining) return turnAway({ key: 'draining', message: 'this controller is shutting down' }, status.UNAVAILABLE);
    const limit = maxStreams();
    if (limit > 0 && open.size + pending > limit) {
      const message = `maxDataPlaneConnections (${limit}) is reached`;
      return turnAway({ key: 'too-many-connections', message }, status.RESOURCE_EXHAUSTED);
    }
    after(firstRequestMs, () => {
      if (stream === undefined) end(status.DEADLINE_EXCEEDED, 'no identity was shown in time');
    });

    const take = (to: ProxyStream, request: DeltaRequest): void => {
      const foreign = foreignSecrets(request, ownSecrets);
      if (foreign.length > 0) events.secretsDenied?.(to, foreign);
      to.receive(request);
    };

    const admit = async (): Promise<void> => {
      const result = await options.authenticator.authenticate(authorization, firstNodeId);
      if (over) return;
      if (!result.ok) return turnAway(result.refusal, status.UNAUTHENTICATED);
      const accepted = new ProxyStream(result.value, ownSecrets, {
        now,
        acked: (type) => events.acked?.(accepted, type),
        nacked: (nack) => events.nacked?.(accepted, nack),
        write: (response) => {
          if (over) return true;
          const bytes = encodeResponse(response);
          events.sent?.(accepted, isTypeUrl(response.type) ? SHORT_NAME[response.type] : 'unknown', bytes.length);
          return call.write(bytes);
        },
      });
      stream = accepted;
      pending -= 1;
      open.set(accepted, (code, message) => {
        end(code, message);
        closeConnection(call);
      });
      call.on('drain', () => accepted.drained());
      const age = streamAgeMs.min + random() * (streamAgeMs.max - streamAgeMs.min);
      after(age, () => open.get(accepted)?.(status.UNAVAILABLE, 'the stream has reached its age'));
      events.opened?.(accepted);
      feed = options.source.connect(accepted, (snapshot) => {
        if (!over) accepted.update(snapshot);
      });
      for (const request of early.splice(0)) take(accepted, request);
    };

    /**
     * Reads from here on. Until then what the client sends stays in its window: of whoever has no token, a message would be held and
     * decoded that is as large as any.
     */
    const firstNodeId = (): Promise<string | undefined> =>
      new Promise((resolve) => {
        call.on('data', (request: DeltaRequest) => {
          if (over) return;
          if (stream !== undefined) return take(stream, request);
          if (!heard) peer.nodeId = request.nodeId;
          heard = true;
          early.push(request);
          if (early.length > 64) return end(status.RESOURCE_EXHAUSTED, 'too many requests before authentication');
          resolve(peer.nodeId);
        });
      });

    admit().catch((error: unknown) => end(status.INTERNAL, `authentication failed: ${String(error)}`));
  }

  server.register(
    `${SERVICE}/DeltaAggregatedResources`,
    accept as never,
    (bytes: Buffer) => bytes,
    (bytes: Buffer) => decodeRequest(bytes),
    'bidi',
  );
  server.register(
    `${SERVICE}/StreamAggregatedResources`,
    ((call: Call) => {
      const details = 'only the delta form is served: set api_type DELTA_GRPC in ads_config';
      call.emit('error', { code: status.UNIMPLEMENTED, details });
    }) as never,
    (bytes: Buffer) => bytes,
    (bytes: Buffer) => bytes,
    'bidi',
  );

  return {
    listen(address) {
      // grpc-js names the first two parameters the wrong way round: the identity comes first, then the client CA.
      const credentials = experimental.createCertificateProviderServerCredentials(options.certificate, null, false);
      return new Promise((resolve, reject) => {
        server.bindAsync(address, credentials, (error, port) => (error === null ? resolve(port) : reject(error)));
      });
    },
    streams: () => open.keys(),
    closeStreams(matches, refusal) {
      const ends = [...open].filter(([stream]) => matches(stream.proxy));
      for (const [stream, end] of ends) {
        events.expelled?.(stream, refusal);
        end(status.UNAVAILABLE, `${refusal.key}: ${refusal.message}`);
      }
      return ends.length;
    },
    async drain(spreadMs) {
      draining = true;
      const closed = new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
      const ends = [...open.values()];
      for (const [index, end] of ends.entries()) {
        setTimeout(end, (spreadMs * index) / ends.length, status.UNAVAILABLE, 'this controller is shutting down');
      }
      const deadline = setTimeout(() => server.forceShutdown(), spreadMs + 1000);
      await closed;
      clearTimeout(deadline);
    },
    close() {
      draining = true;
      for (const end of [...open.values()]) end(status.UNAVAILABLE, 'this controller is shutting down');
      server.forceShutdown();
    },
  };
}
