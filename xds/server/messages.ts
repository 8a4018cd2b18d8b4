import type { Resource } from '#xds/resource.ts';

/** The parts of a DeltaDiscoveryRequest that the server reads. */
export interface DeltaRequest {
  /** Type URL as the client wrote it; it may be one that we do not serve. */
  readonly type: string;
  /** `node.id`; Envoy sends it in the first request of a stream only. */
  readonly nodeId: string | undefined;
  readonly subscribe: readonly string[];
  readonly unsubscribe: readonly string[];
  /** Name → version of what the client still holds from an earlier stream. */
  readonly initialVersions: ReadonlyMap<string, string>;
  /** Empty when the request answers no response. */
  readonly nonce: string;
  /** Set when the client refuses the response that `nonce` names: its own words. */
  readonly error: string | undefined;
}

/** A DeltaDiscoveryResponse before it is written. */
export interface DeltaResponse {
  readonly type: string;
  readonly nonce: string;
  readonly resources: readonly Resource[];
  readonly removed: readonly string[];
}
