/** One Envoy resource, encoded once and shared by every sidecar that may see it. */
export interface Resource {
  /** Type URL, e.g. `type.googleapis.com/envoy.config.cluster.v3.Cluster`. */
  readonly type: string;
  readonly name: string;
  /** The encoded message itself (the value of the `google.protobuf.Any`). */
  readonly bytes: Uint8Array;
  /** Content hash of `bytes`: the resource's version, the same on every replica. */
  readonly hash: string;
  /** Clusters only: names of the EDS assignments that the cluster needs before Envoy can acknowledge it. */
  readonly endpoints?: readonly string[];
  /** Names of the SDS secrets that the resource brings. */
  readonly secrets?: readonly string[];
}
