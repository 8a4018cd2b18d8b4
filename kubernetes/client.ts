/**
 * Raw JSON to and from the API server. client-node's typed APIs drop every field that their generated models lack,
 * so objects pass through here as they are.
 */
import type { IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { type Connection, type ConnectionOptions, connect } from './connection.ts';
import { answerError, isStatus, KubernetesError, transportError } from './error.ts';
import { apiVersionOf } from './kinds.ts';
import { listPages } from './list.ts';
import { pathOf, query } from './paths.ts';
import type { Kind, KubeObject, KubernetesClient } from './types.ts';
import { watchEvents } from './watch.ts';

export interface ClientOptions extends ConnectionOptions {
  /** A call fails when nothing was heard for this long; 30,000 by default. */
  readonly idleMs?: number;
}

export interface Client extends KubernetesClient {
  /** Closes idle sockets; calls that are under way end by themselves. */
  close(): void;
}

/** Tries of one call when the server is overloaded (429, or 5xx with Retry-After): it asks for that, and did nothing. */
const tries = 5;
const longestRetryAfter = 10;

/** A client for the cluster of a kubeconfig, or of the pod that it runs in. Throws when neither is found. */
export function createClient(options: ClientOptions = {}): Client {
  const connection = connect(options);
  const idleMs = options.idleMs ?? 30_000;

  async function call<T>(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<T> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    for (let attempt = 1; ; attempt++) {
      try {
        return await callOnce<T>(connection, {
          method,
          path,
          idleMs,
          ...(text === undefined ? {} : { body: text }),
          ...(headers === undefined ? {} : { headers }),
        });
      } catch (error) {
        if (attempt === tries || !(error instanceof KubernetesError) || !asksToRetry(error)) throw error;
        await delay(Math.min(error.retryAfter ?? 1, longestRetryAfter) * 1_000);
      }
    }
  }

  const targetOf = (kind: Kind, object: KubeObject): { namespace?: string; name: string } => {
    const { namespace, name } = object.metadata;
    if (kind.namespaced && !namespace) throw new TypeError(`${kind.kind} ${name} has no metadata.namespace`);
    return { name, ...(namespace === undefined ? {} : { namespace }) };
  };
  const complete = <T extends KubeObject>(kind: Kind, object: T): T => ({
    ...object,
    apiVersion: apiVersionOf(kind),
    kind: kind.kind,
  });

  const client: Client = {
    async get<T extends KubeObject>(kind: Kind, name: string, namespace?: string) {
      try {
        return await call<T>('GET', pathOf(kind, { namespace, name }));
      } catch (error) {
        if (isStatus(error, 404)) return undefined;
        throw error;
      }
    },
    async list<T extends KubeObject>(kind: Kind, list = {}) {
      let result: { items: T[]; resourceVersion: string } = { items: [], resourceVersion: '' };
      for await (const page of listPages<T>(client, kind, list)) {
        const items = page.restarted ? [] : result.items;
        for (const item of page.items) items.push(item);
        result = { items, resourceVersion: page.resourceVersion };
      }
      return result;
    },
    create(kind, object, { fieldManager, dryRun } = {}) {
      const { namespace } = targetOf(kind, object);
      const path = pathOf(kind, { namespace }) + query({ fieldManager, dryRun: dryRun ? 'All' : undefined });
      return call('POST', path, complete(kind, object));
    },
    replace: (kind, object) => call('PUT', pathOf(kind, targetOf(kind, object)), complete(kind, object)),
    apply(kind, object, { fieldManager, force, dryRun, subresource }) {
      const path = pathOf(kind, { ...targetOf(kind, object), subresource });
      const parameters = query({ fieldManager, force, dryRun: dryRun ? 'All' : undefined });
      // JSON is YAML; the content type is what selects server-side apply.
      return call('PATCH', path + parameters, complete(kind, object), {
        'content-type': 'application/apply-patch+yaml',
      });
    },
    async delete(kind, name, namespace, { uid, propagation } = {}) {
      try {
        await call('DELETE', pathOf(kind, { namespace, name }), {
          apiVersion: 'v1',
          kind: 'DeleteOptions',
          propagationPolicy: propagation ?? 'Background',
          ...(uid === undefined ? {} : { preconditions: { uid } }),
        });
        return true;
      } catch (error) {
        if (isStatus(error, 404)) return false;
        throw error;
      }
    },
    request: call,
    watch: (kind, watch) => watchEvents(connection, kind, watch),
    get refusal() {
      return connection.refusal;
    },
    close: () => connection.close(),
  };
  return client;
}

async function callOnce<T>(connection: Connection, request: Parameters<Connection['send']>[0]): Promise<T> {
  const name = `${request.method} ${request.path}`;
  const answer = await connection.send(request);
  const body = await readAll(answer, name);
  const status = answer.statusCode ?? 0;
  if (status >= 400) throw answerError(name, status, body, answer.headers['retry-after']);
  if (body === '') return undefined as T;
  if (!isJson(answer)) return body as T; // `/healthz` and `/metrics` answer in text
  try {
    return JSON.parse(body) as T;
  } catch (error) {
    throw transportError('Unreadable', name, error);
  }
}

function isJson(answer: IncomingMessage): boolean {
  return /[/+]json\b/.test(answer.headers['content-type'] ?? '');
}

async function readAll(answer: IncomingMessage, name: string): Promise<string> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of answer) chunks.push(chunk as Buffer);
  } catch (error) {
    throw transportError('Cut', name, error);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function asksToRetry(error: KubernetesError): boolean {
  return error.status === 429 || (error.status >= 500 && error.retryAfter !== undefined);
}
