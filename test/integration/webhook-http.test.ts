/** The webhook server's own answers: to what is no review, to too much of it, and to a review that it cannot use. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { readKeyPair } from '#certificates/serving-certificate.ts';
import { createMetrics } from '#webhook/metrics.ts';
import type { MutationSources } from '#webhook/mutate.ts';
import { createWebhookServer } from '#webhook/server.ts';
import { injectSettings } from '../unit/webhook/settings.ts';
import { writePair } from './webhook-process.ts';

interface Answer {
  readonly response: {
    readonly uid: string;
    readonly allowed: boolean;
    readonly status?: { readonly code: number; readonly reason: string; readonly message: string };
  };
}

describe('webhook server', () => {
  let server: ReturnType<typeof createWebhookServer>;
  let namespace: MutationSources['namespace'];
  const lines: string[] = [];

  before(async () => {
    const directory = await mkdtemp(join(tmpdir(), 'osm-webhook-'));
    await writePair(directory, '127.0.0.1');
    const tls = await readKeyPair(directory);
    await rm(directory, { recursive: true });
    server = createWebhookServer({
      tls,
      sources: { mesh: () => injectSettings(), namespace: (name) => namespace(name) },
      metrics: createMetrics(),
      log: pino({ level: 'info' }, { write: (line: string) => lines.push(line) }),
      now: () => 0,
    });
  });

  beforeEach(() => {
    lines.length = 0;
    namespace = async (name) => ({
      metadata: {
        name,
        labels: { 'openservicemesh.io/monitored-by': 'osm', 'openservicemesh.io/sidecar-injection': 'enabled' },
      },
    });
  });

  after(() => server.close());

  const post = (payload: string, type: string | undefined = 'application/json') =>
    server.inject({
      method: 'POST',
      url: '/mutate-pod-creation',
      headers: type === '' ? {} : { 'content-type': type },
      payload,
    });

  const review = (object: unknown, request: object = {}) =>
    JSON.stringify({
      apiVersion: 'admission.k8s.io/v1',
      request: { uid: 'u-7', kind: { kind: 'Pod' }, namespace: 'shop', operation: 'CREATE', object, ...request },
    });
  const pod = { metadata: { generateName: 'web-' }, spec: { containers: [{ name: 'web' }] } };

  it('takes JSON only: 415 for another type and for none', async () => {
    for (const type of ['text/plain', 'application/yaml', 'application/x-www-form-urlencoded', '']) {
      assert.equal((await post(review(pod), type)).statusCode, 415, type);
    }
    assert.equal((await post(review(pod), 'application/json; charset=utf-8')).statusCode, 200);
  });

  it('reads up to 8 MiB, which is more than the API server stores, and 413 beyond', async () => {
    const padded = (size: number) => {
      const text = review(pod, { padding: '' });
      return text.replace('"padding":""', `"padding":"${'x'.repeat(size - text.length)}"`);
    };
    const limit = 8 * 1024 * 1024;
    assert.equal((await post(padded(limit))).json<Answer>().response.allowed, true);
    assert.equal((await post(padded(limit + 1))).statusCode, 413);
  });

  it('refuses what it cannot read with an AdmissionReview, which carries the UID wherever one can be read', async () => {
    const cases: readonly [body: string, uid: string, message: RegExp][] = [
      ['', '', /no body/],
      ['{', '', /not JSON/],
      ['{"apiVersion":"admission.k8s.io/v1"}', '', /with a request/],
      [JSON.stringify({ apiVersion: 'admission.k8s.io/v1', request: {} }), '', /no request\.uid/],
      [JSON.stringify({ apiVersion: 'admission.k8s.io/v1beta1', request: { uid: 'u-7' } }), 'u-7', /apiVersion/],
      [review(null), 'u-7', /no request\.object/],
      [review({ metadata: {}, spec: { containers: 'web' } }), 'u-7', /not a pod/],
    ];
    for (const [body, uid, message] of cases) {
      const answer = (await post(body)).json<Answer>().response;
      assert.deepEqual([answer.uid, answer.allowed, answer.status?.reason], [uid, false, 'BadRequest'], body);
      assert.match(answer.status?.message ?? '', message);
    }
  });

  it('refuses when a fault of its own comes up, says so to the user, and the rest to the log', async () => {
    const answer = (
      await post(review({ metadata: {}, spec: { containers: [{ name: 'web', ports: 'x' }] } }))
    ).json<Answer>();
    assert.deepEqual(
      [answer.response.uid, answer.response.allowed, answer.response.status?.reason],
      ['u-7', false, 'InternalError'],
    );
    assert.match(answer.response.status?.message ?? '', /its own fault.*\(internal-error\)$/);
    assert.ok(lines.some((line) => line.includes('TypeError')));
  });

  it('does not guess while the API server does not tell the namespace: try again', async () => {
    namespace = () => Promise.reject(new Error('connect ECONNREFUSED 10.96.0.1:443'));
    const { status } = (await post(review(pod))).json<Answer>().response;
    assert.deepEqual([status?.code, status?.reason], [503, 'ServiceUnavailable']);
    assert.match(
      status?.message ?? '',
      /cannot read namespace shop.*try again.*ECONNREFUSED.*\(namespace-unreadable\)$/,
    );
  });

  it('writes one line a review, with the decision and its reason', async () => {
    await post(review(pod));
    assert.equal(lines.length, 1);
    const { decision, reason, name } = JSON.parse(lines[0] ?? '') as Record<string, unknown>;
    assert.deepEqual({ decision, reason, name }, { decision: 'inject', reason: 'namespace-label', name: 'web-' });
  });
});
