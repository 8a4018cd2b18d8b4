/** Plain HTTP on 9091 for the kubelet and Prometheus. */
import fastify, { type FastifyInstance } from 'fastify';
import type { Registry } from 'prom-client';

export interface HealthOptions {
  /** What is still missing, each in a few words; empty means ready. */
  readonly missing: () => readonly string[];
  readonly registry: Registry;
  readonly version: string;
}

/** Not listening yet. */
export function createHealthServer({ missing, registry, version }: HealthOptions): FastifyInstance {
  const server = fastify();
  server.get('/health/alive', () => ({ alive: true }));
  server.get('/health/ready', (_request, reply) => {
    const waitingFor = missing();
    return reply.code(waitingFor.length === 0 ? 200 : 503).send({ ready: waitingFor.length === 0, waitingFor });
  });
  server.get('/version', () => ({ version }));
  server.get('/metrics', async (_request, reply) => reply.type(registry.contentType).send(await registry.metrics()));
  return server;
}
