export type Protocol = 'http1' | 'http2' | 'grpc' | 'grpc-stream' | 'tcp' | 'websocket' | 'mysql';

export interface Call {
  readonly protocol: Protocol;
  /** `host:port`, IPv6 in brackets. */
  readonly target: string;
  /** HTTP path, `/hello` by default, or gRPC method. */
  readonly path?: string;
}

/** What came of one call; `answer` is what the server said, the rest is there where the protocol has it. */
export interface Outcome {
  readonly answer: string;
  /** HTTP status, or gRPC status code. */
  readonly status?: number;
  /** The header `x-osm-denied`. */
  readonly denied?: string;
  /** Why there is no answer. */
  readonly error?: string;
}
