import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';

export interface HealthOptions {
  /** 9091 in our pods; 0 takes a free one. */
  readonly port: number;
  /** All addresses by default: the kubelet and Prometheus call from outside the pod. */
  readonly host?: string;
  /** What still stands in the way, as sentences or keys; empty means ready. */
  readonly unready: () => readonly string[];
  /** What only a restart would mend; empty (the default) means alive. */
  readonly dead?: () => readonly string[];
  /** Answered as JSON on /version. */
  readonly version: Readonly<Record<string, string>>;
  readonly metrics: Pick<Registry, 'contentType' | 'metrics'>;
}

export interface HealthServer {
  readonly port: number;
  close(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** Serves /health/ready, /health/alive, /version and /metrics over plain HTTP. Rejects when the port cannot be had. */
export async function startHealthServer(options: HealthOptions): Promise<HealthServer> {
  const server = createServer((request, response) => {
    void answer(options, request).then((found) => send(response, request, found));
  });
  server.keepAliveTimeout = 5_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      return closed;
    },
  };
}

async function answer(options: HealthOptions, { method, url = '' }: IncomingMessage): Promise<Answer> {
  if (method !== 'GET' && method !== 'HEAD') return text(405, 'method not allowed');
  try {
    switch (url.split('?', 1)[0] ?? '') {
      case '/health/ready':
        return verdict(options.unready());
      case '/health/alive':
        return verdict(options.dead?.() ?? []);
      case '/version':
        return { status: 200, type: 'application/json', body: JSON.stringify(options.version) };
      case '/metrics':
        return { status: 200, type: options.metrics.contentType, body: await options.metrics.metrics() };
      default:
        return text(404, 'not found');
    }
  } catch (error) {
    return text(500, error instanceof Error ? error.message : String(error));
  }
}

function verdict(reasons: readonly string[]): Answer {
  return reasons.length === 0 ? text(200, 'ok') : text(503, reasons.join('\n'));
}

function text(status: number, body: string): Answer {
  return { status, type: 'text/plain; charset=utf-8', body: `${body}\n` };
}

function send(response: ServerResponse, request: IncomingMessage, { status, type, body }: Answer): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
  response.end(request.method === 'HEAD' ? undefined : body);
}
