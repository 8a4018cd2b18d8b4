/** The webhooks: HTTPS in, AdmissionReview out. */
import fastify, { LogController, type FastifyBaseLogger, type FastifyReply, type FastifyRequest } from 'fastify';
import type { KeyPair } from '#certificates/serving-certificate.ts';
import { type AdmissionRequest, decodeReview, encodeReview } from './admission-review.ts';
import type { WebhookMetrics } from './metrics.ts';
import { failure, type MutationSources, type Reviewed, reviewPod } from './mutate.ts';
import { validatePolicy } from './validate/policy.ts';

export interface WebhookOptions {
  readonly tls: KeyPair;
  readonly sources: MutationSources;
  readonly metrics: WebhookMetrics;
  readonly log: FastifyBaseLogger;
  /** Monotonic seconds. */
  readonly now: () => number;
}

/** The API server stores objects of up to 3 MB, and an update carries two of them. */
const bodyLimit = 8 * 1024 * 1024;

/** Not listening yet. `server.server.setSecureContext` takes a new certificate while it runs. */
export function createWebhookServer(options: WebhookOptions) {
  const server = fastify({
    https: { cert: options.tls.cert, key: options.tls.key, minVersion: 'TLSv1.2' },
    loggerInstance: options.log,
    // One line a review, with its reason, is ours.
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit,
    forceCloseConnections: 'idle',
  });
  // Only application/json, and unread: what is not JSON gets an AdmissionReview for an answer, everything else 415.
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) => done(null, body));

  const webhook =
    (review: (request: AdmissionRequest) => Promise<Reviewed>) =>
    async (request: FastifyRequest, reply: FastifyReply) => {
      // Without a body and a type no parser runs: the same answer as for any other type.
      if (request.headers['content-type'] === undefined)
        return reply.code(415).send({ message: 'content type must be application/json' });
      const started = options.now();
      const decoded = decodeReview(typeof request.body === 'string' ? request.body : '');
      const reviewed = decoded.ok
        ? await review(decoded.request).catch((error: unknown) => unexpected(error, options.log))
        : failure('unreadable-review', 400, decoded.message);
      const kind = decoded.ok ? decoded.request.kind : '';
      options.metrics.reviewed(kind, reviewed, options.now() - started);
      logReview(options.log, decoded.ok ? decoded.request : undefined, reviewed);
      return encodeReview(decoded.ok ? decoded.request.uid : decoded.uid, reviewed.verdict);
    };

  server.post(
    '/mutate-pod-creation',
    webhook((request) => reviewPod(request, options.sources)),
  );
  server.post(
    '/validate',
    webhook(async (request) => reviewPolicy(request)),
  );
  return server;
}

function reviewPolicy(request: AdmissionRequest): Reviewed {
  const verdict = validatePolicy(request.object, request.kind);
  return verdict.allowed
    ? { decision: 'allow', reason: verdict.reason, verdict: { allowed: true } }
    : {
        decision: 'refuse',
        reason: verdict.reason,
        verdict: { allowed: false, code: 422, message: `${verdict.message} (${verdict.reason})` },
      };
}

/** A fault of ours is a refusal: a pod must not start outside the mesh because of it. */
function unexpected(error: unknown, log: FastifyBaseLogger): Reviewed {
  log.error({ err: error }, 'review failed');
  return failure(
    'internal-error',
    500,
    'the injector failed on this object, which is its own fault: see its log (kubectl -n <control plane namespace> logs deployment/osm-injector)',
  );
}

function logReview(log: FastifyBaseLogger, request: AdmissionRequest | undefined, reviewed: Reviewed): void {
  const metadata = request?.object['metadata'] as { name?: string; generateName?: string } | undefined;
  const fields = {
    decision: reviewed.decision,
    reason: reviewed.reason,
    kind: request?.kind,
    namespace: request?.namespace,
    name: metadata?.name ?? metadata?.generateName,
  };
  if (reviewed.decision === 'error') log.error({ ...fields, detail: reviewed.verdict.message }, 'admission review');
  else
    log.info({ ...fields, ...(!reviewed.verdict.allowed && { detail: reviewed.verdict.message }) }, 'admission review');
}
