/** A delta ADS client in a few lines: asks with a token and a node id, as whoever holds the token could, and says what came of it. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  type DeltaDiscoveryResponse,
} from '#xds/proto/gen/envoy/service/discovery/v3/discovery_pb.js';

const METHOD = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources';
const CLUSTER = 'type.googleapis.com/envoy.config.cluster.v3.Cluster';

export interface StreamOptions {
  /** `host:port` of the controller. */
  readonly address: string;
  /** PEM roots of the control plane's CA. */
  readonly ca: string;
  readonly token: string | undefined;
  readonly node: string;
}

export interface DeltaStream {
  /** What came so far, oldest first. */
  readonly answers: readonly DeltaDiscoveryResponse[];
  /** The gRPC status with which the controller ended the stream, and when, in milliseconds since the epoch. */
  readonly ended: { readonly error: string; readonly at: number } | undefined;
  /** Asks for resources of a type by name; without names for all. */
  ask(type: string, names?: readonly string[]): void;
  close(): void;
}

/** Opens a stream and asks for all clusters. */
export function openDeltaStream(options: StreamOptions): DeltaStream {
  const client = new Client(options.address, credentials.createSsl(Buffer.from(options.ca)), {
    'grpc.ssl_target_name_override': 'osm-controller.osm-system.svc',
    'grpc.use_local_subchannel_pool': 1,
  });
  const metadata = new Metadata();
  if (options.token !== undefined) metadata.set('authorization', options.token);
  const call = client.makeBidiStreamRequest(
    METHOD,
    (request: Uint8Array) => Buffer.from(request),
    (response: Buffer) => fromBinary(DeltaDiscoveryResponseSchema, response),
    metadata,
  );
  const answers: DeltaDiscoveryResponse[] = [];
  let ended: DeltaStream['ended'];
  const end = (error: string): void => {
    ended ??= { error, at: Date.now() };
  };
  call.on('data', (answer: DeltaDiscoveryResponse) => {
    answers.push(answer);
    send({ typeUrl: answer.typeUrl, responseNonce: answer.nonce });
  });
  call.on('error', (error: Error) => end(error.message));
  call.on('end', () => end('the stream ended'));
  const send = (fields: {
    typeUrl: string;
    node?: { id: string };
    responseNonce?: string;
    resourceNamesSubscribe?: string[];
  }): void => void call.write(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, fields)));
  send({ typeUrl: CLUSTER, node: { id: options.node } });
  return {
    answers,
    get ended() {
      return ended;
    },
    ask: (typeUrl, names = []) => send({ typeUrl, resourceNamesSubscribe: [...names] }),
    close() {
      call.cancel();
      client.close();
    },
  };
}
