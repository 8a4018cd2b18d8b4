/**
 * The wire: HTTPS requests to the API server, authenticated as client-node's KubeConfig says (in-cluster token file,
 * client certificate, exec plug-in, OIDC).
 *
 * KubeConfig is imported from its own module: the package's index pulls in every generated model (twice the memory).
 */
import { KubeConfig } from '@kubernetes/client-node/dist/config.js';
import { Agent as HttpAgent, type IncomingMessage, type OutgoingHttpHeaders, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, type RequestOptions, request as httpsRequest } from 'node:https';
import { createAuthentication } from './authentication.ts';
import { transportError } from './error.ts';

export interface ConnectionOptions {
  /** Path of a kubeconfig. By default `$KUBECONFIG`, `~/.kube/config`, and then the pod's own service account. */
  readonly kubeconfig?: string;
  readonly userAgent?: string;
  /** Milliseconds of a clock that never goes back; `performance.now` by default. Measures how long we are refused. */
  readonly now?: () => number;
}

export interface WireRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** The request fails when this long nothing was read or written, headers or body. */
  readonly idleMs: number;
  /** True for a watch: it has a socket of its own and never waits for a free one. */
  readonly stream?: boolean;
  readonly signal?: AbortSignal | undefined;
}

export interface Connection {
  /** Resolves with the answer's head, whatever its status. Throws a KubernetesError when there is none. */
  send(request: WireRequest): Promise<IncomingMessage>;
  /** Why readiness must be given up: nobody knows us any more (401, lastingly). */
  readonly refusal: string | undefined;
  /** Closes idle sockets. Requests that are under way end by themselves. */
  close(): void;
}

/** Short calls share this many sockets, so that a burst of writes queues here and not in the server's accept queue. */
const socketsForCalls = 32;

/**
 * How long credentials are used before they are asked for again. They come from files that the kubelet or a user
 * replaces; asking on each request would read those files, synchronously, thousands of times a minute.
 */
const credentialsMs = 30_000;

interface Credentials {
  readonly headers: OutgoingHttpHeaders;
  readonly calls: HttpAgent;
  readonly streams: HttpAgent;
  /** Tells whether TLS material changed, and with it the agents. */
  readonly fingerprint: string;
  readonly readAt: number;
}

export function connect(options: ConnectionOptions = {}): Connection {
  const config = new KubeConfig();
  if (options.kubeconfig !== undefined) config.loadFromFile(options.kubeconfig);
  else config.loadFromDefault();
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw new Error('The kubeconfig names no cluster: set its current-context');
  const server = new URL(cluster.server);
  const secure = server.protocol === 'https:';
  const prefix = server.pathname.replace(/\/$/, '');

  const authentication = createAuthentication(options.now ?? (() => performance.now()));
  let current: Credentials | undefined;
  let reading: Promise<Credentials> | undefined;

  const credentials = (): Promise<Credentials> => {
    if (current !== undefined && performance.now() - current.readAt < credentialsMs) return Promise.resolve(current);
    reading ??= readCredentials(config, secure, current)
      .then((fresh) => {
        current = fresh;
        return fresh;
      })
      .finally(() => {
        reading = undefined;
      });
    return reading;
  };

  return {
    async send(request) {
      const call = `${request.method} ${request.path}`;
      const { headers, calls, streams } = await credentials().catch((error: unknown) => {
        throw transportError('Unreachable', call, error);
      });
      const answer = await exchange(secure, request, {
        hostname: server.hostname.replace(/^\[|\]$/g, ''),
        port: server.port || (secure ? 443 : 80),
        method: request.method,
        path: prefix + request.path,
        agent: request.stream ? streams : calls,
        headers: {
          accept: 'application/json, */*', // the key set is served as jwk-set+json only
          'user-agent': options.userAgent ?? 'open-service-mesh',
          ...(request.body === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(request.body) }),
          ...headers,
          ...request.headers,
        },
        ...(request.signal === undefined ? {} : { signal: request.signal }),
      });
      authentication.note(answer.statusCode ?? 0);
      return answer;
    },
    get refusal() {
      return authentication.refusal;
    },
    close() {
      current?.calls.destroy();
      current?.streams.destroy();
      current = undefined;
    },
  };
}

async function readCredentials(
  config: KubeConfig,
  secure: boolean,
  previous: Credentials | undefined,
): Promise<Credentials> {
  const found: RequestOptions & { headers: OutgoingHttpHeaders } = { headers: {} };
  await config.applyToHTTPSOptions(found);
  const { ca, cert, key, servername, rejectUnauthorized, auth } = found;
  if (auth) found.headers['authorization'] = `Basic ${Buffer.from(auth).toString('base64')}`;
  const readAt = performance.now();
  const fingerprint = [ca, cert, key].map(String).join('\n');
  if (previous?.fingerprint === fingerprint) return { ...previous, headers: found.headers, readAt };
  const tls = {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(servername === undefined ? {} : { servername }),
    ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
  };
  const agent = (maxSockets: number): HttpAgent =>
    secure
      ? new HttpsAgent({ keepAlive: true, maxSockets, scheduling: 'lifo', ...tls })
      : new HttpAgent({ keepAlive: true, maxSockets, scheduling: 'lifo' });
  return {
    headers: found.headers,
    calls: agent(socketsForCalls),
    streams: agent(Number.POSITIVE_INFINITY),
    fingerprint,
    readAt,
  };
}

function exchange(secure: boolean, request: WireRequest, options: RequestOptions): Promise<IncomingMessage> {
  const call = `${request.method} ${request.path}`;
  // The server may close an idle socket just as we write to it. Nothing was answered then, so what may safely happen
  // twice is sent once more; a POST might have been carried out, and is the caller's to judge.
  const repeatable = request.method !== 'POST';
  return new Promise((resolve, reject) => {
    let answer: IncomingMessage | undefined;
    const outgoing = (secure ? httpsRequest : httpRequest)(options, (incoming) => {
      answer = incoming;
      resolve(incoming);
    });
    outgoing.setTimeout(request.idleMs, () => {
      // Destroying the request alone would end its answer with a bare reset, and hide why.
      (answer ?? outgoing).destroy(new IdleError(`nothing was heard for ${request.idleMs} ms`));
    });
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      if (answer !== undefined) return; // whoever reads the answer sees it there
      const reset = error.code === 'ECONNRESET' || error.code === 'EPIPE';
      if (request.signal?.aborted) reject(transportError('Aborted', call, error));
      else if (repeatable && outgoing.reusedSocket && reset) {
        exchange(secure, request, options).then(resolve, reject);
      } else reject(transportError(error instanceof IdleError ? 'Timeout' : 'Unreachable', call, error));
    });
    outgoing.end(request.body);
  });
}

/** A silence that was too long; told apart from a reset by its class. */
export class IdleError extends Error {}
