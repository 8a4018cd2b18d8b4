/** A delta ADS client in a few lines: asks for all clusters once, with a token and a node id, and says what came of it. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
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

export interface Outcome {
  /** Resources in the first response. */
  readonly resources: number;
  /** The gRPC status that ended the stream, when one did before any response. */
  readonly error: string | undefined;
}

export function openDeltaStream(options: StreamOptions): Promise<Outcome> {
  const client = new Client(options.address, credentials.createSsl(Buffer.from(options.ca)), {
    'grpc.ssl_target_name_override': 'osm-controller.osm-system.svc',
  });
  const metadata = new Metadata();
  if (options.token !== undefined) metadata.set('authorization', options.token);
  const call = client.makeBidiStreamRequest(
    METHOD,
    (request: Uint8Array) => Buffer.from(request),
    (response: Buffer) => fromBinary(DeltaDiscoveryResponseSchema, response),
    metadata,
  );
  return new Promise<Outcome>((resolve) => {
    const timer = setTimeout(() => resolve({ resources: 0, error: 'nothing within 10 s' }), 10_000);
    const finish = (outcome: Outcome): void => {
      clearTimeout(timer);
      call.cancel();
      client.close();
      resolve(outcome);
    };
    call.on('data', (response) => finish({ resources: response.resources.length, error: undefined }));
    call.on('error', (error: Error) => finish({ resources: 0, error: error.message }));
    call.on('end', () => finish({ resources: 0, error: 'the stream ended' }));
    const request = create(DeltaDiscoveryRequestSchema, { node: { id: options.node }, typeUrl: CLUSTER });
    call.write(toBinary(DeltaDiscoveryRequestSchema, request));
  });
}
