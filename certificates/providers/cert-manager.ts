/**
 * cert-manager: a CertificateRequest for each certificate, waited for and then deleted. The key is made here and never
 * leaves; cert-manager sees the request alone.
 */
import { KubernetesError } from '#kubernetes/error.ts';
import { apiVersionOf, CertificateRequests } from '#kubernetes/kinds.ts';
import { pathOf } from '#kubernetes/paths.ts';
import { pause } from '#kubernetes/pause.ts';
import type { KubeObject, KubernetesClient } from '#kubernetes/types.ts';
import { accept } from '../accept.ts';
import { createSigningRequest } from '../csr.ts';
import { CertificateError } from '../error.ts';
import { type CertManagerSpec, type Provider, providerOf } from './provider.ts';

export interface CertManagerOptions {
  readonly client: KubernetesClient;
  readonly spec: CertManagerSpec;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** How long a request may take, in milliseconds; 60,000 as in OSM. */
  readonly deadlineMs?: number;
  /** After how long it is told that something waits for cert-manager, in milliseconds; 5,000 where nothing else is said. */
  readonly patienceMs?: number;
  /** A request that could not be deleted: it stays in the cluster, under our label. */
  readonly onLeftover?: (name: string, error: unknown) => void;
}

interface RequestStatus {
  readonly conditions?: readonly {
    readonly type: string;
    readonly status: string;
    readonly reason?: string;
    readonly message?: string;
  }[];
  /** Base64 of PEM. */
  readonly certificate?: string;
  readonly ca?: string;
}

/** Between the end of a watch and the next look, in milliseconds: a watch that ends at once must not make a loop. */
const againMs = 250;

type State =
  | { readonly kind: 'issued'; readonly certificates: string; readonly authorities: string }
  | { readonly kind: 'over'; readonly reason: 'provider-denied' | 'provider-failed'; readonly words: string }
  | { readonly kind: 'pending'; readonly words: string };

export function createCertManagerProvider(options: CertManagerOptions): Provider {
  const { client, spec, now, deadlineMs = 60_000 } = options;
  const issuer = `${spec.issuer.kind} ${spec.issuer.name}`;
  const patience = Math.min(options.patienceMs ?? 5_000, deadlineMs);
  const closing = new AbortController();

  /** In the same words while it is waited for and at the end: what waits for days must not be told anew each minute. */
  function notSigned(words: string): CertificateError {
    const message = `cert-manager's ${issuer} has not signed within ${patience / 1_000} s: ${words}`;
    return new CertificateError('provider-timeout', message);
  }

  async function submit(csrPem: string, lifetimeMs: number): Promise<KubeObject> {
    const body = {
      apiVersion: apiVersionOf(CertificateRequests),
      kind: CertificateRequests.kind,
      metadata: {
        generateName: 'osm-',
        namespace: spec.namespace,
        labels: { 'app.kubernetes.io/managed-by': 'osm-controller' },
      },
      spec: {
        request: Buffer.from(csrPem).toString('base64'),
        duration: `${Math.ceil(lifetimeMs / 1_000)}s`,
        // In the order of the request's own: cert-manager compares the two as lists, and refuses what differs.
        usages: ['digital signature', 'server auth', 'client auth'],
        issuerRef: spec.issuer,
      },
    };
    try {
      return await client.request<KubeObject>('POST', pathOf(CertificateRequests, { namespace: spec.namespace }), body);
    } catch (error) {
      throw refusal(error);
    }
  }

  /** Follows the request until it is issued or refused. */
  async function outcome(
    submitted: KubeObject,
    onWords: (words: string) => void,
  ): Promise<Extract<State, { kind: 'issued' }>> {
    const { name } = submitted.metadata;
    const signal = AbortSignal.any([AbortSignal.timeout(deadlineMs), closing.signal]);
    let words = 'cert-manager has not looked at it; its controller may be down';
    const hear = (said: string): void => {
      words = said || words;
      onWords(words);
    };
    hear('');
    for (let look = 1; !signal.aborted; look++) {
      try {
        const known = look === 1 ? submitted : await client.get<KubeObject>(CertificateRequests, name, spec.namespace);
        if (known === undefined) {
          throw new CertificateError('provider-failed', `CertificateRequest ${name} was deleted before it was signed`);
        }
        for await (const object of versionsOf(known, signal)) {
          const state = stateOf(object);
          if (state.kind === 'issued') return state;
          if (state.kind === 'over') {
            throw new CertificateError(state.reason, `cert-manager's ${issuer} did not sign: ${state.words}`);
          }
          hear(state.words);
        }
      } catch (error) {
        if (!(error instanceof KubernetesError)) throw error;
        // No answer of cert-manager's: an API server that restarts cuts watches, and refuses (403) until it has read its rules.
        if (!signal.aborted) hear(error.words);
      }
      await pause(againMs, signal);
    }
    if (closing.signal.aborted) {
      throw new CertificateError('provider-unreachable', `cert-manager's ${issuer} is used no more`);
    }
    throw notSigned(words);
  }

  async function* versionsOf(known: KubeObject, signal: AbortSignal): AsyncGenerator<KubeObject> {
    yield known;
    const watch = client.watch(CertificateRequests, {
      namespace: spec.namespace,
      fieldSelector: `metadata.name=${known.metadata.name}`,
      resourceVersion: known.metadata.resourceVersion ?? '',
      timeoutSeconds: Math.ceil(deadlineMs / 1_000) + 5,
      idleMs: deadlineMs + 5_000,
      signal,
    });
    for await (const event of watch) {
      if (event.type === 'DELETED') return;
      if (event.type !== 'BOOKMARK') yield event.object;
    }
  }

  return providerOf({
    kind: 'cert-manager',
    async sign(names, { lifetimeMs, keyType }, onWaiting) {
      const request = await createSigningRequest(names, keyType);
      const submitted = await submit(request.csrPem, lifetimeMs);
      let words = '';
      let late = false;
      const tell = (): void => onWaiting?.(notSigned(words));
      const timer = setTimeout(() => {
        late = true;
        tell();
      }, patience);
      try {
        const answer = await outcome(submitted, (said) => {
          const news = said !== words;
          words = said;
          if (late && news) tell();
        });
        return accept(answer, { names, request, now: now() });
      } finally {
        clearTimeout(timer);
        const { name, uid } = submitted.metadata;
        await client
          .delete(CertificateRequests, name, spec.namespace, uid === undefined ? {} : { uid })
          .catch((error: unknown) => options.onLeftover?.(name, error));
      }
    },
    // An issuer says nothing of its roots; `status.ca` of a request does.
    publishedRoots: () => Promise.resolve(undefined),
    close: () => closing.abort(),
  });
}

function stateOf({ status }: KubeObject): State {
  const { conditions = [], certificate = '', ca = '' } = (status ?? {}) as RequestStatus;
  const find = (type: string) => conditions.find((condition) => condition.type === type);
  const holds = (type: string): boolean => find(type)?.status === 'True';
  const words = (type: string): string => find(type)?.message ?? '';
  if (holds('Denied')) return { kind: 'over', reason: 'provider-denied', words: words('Denied') };
  if (holds('InvalidRequest')) return { kind: 'over', reason: 'provider-failed', words: words('InvalidRequest') };
  if (holds('Ready') && certificate !== '') {
    return { kind: 'issued', certificates: fromBase64(certificate), authorities: fromBase64(ca) };
  }
  const ready = find('Ready');
  if (ready?.reason === 'Failed') return { kind: 'over', reason: 'provider-failed', words: words('Ready') };
  if (ready?.reason === 'Denied') return { kind: 'over', reason: 'provider-denied', words: words('Ready') };
  return { kind: 'pending', words: words('Ready') };
}

/** What the API server's refusal means here. */
function refusal(error: unknown): unknown {
  if (error instanceof CertificateError || !(error instanceof KubernetesError)) return error;
  const { status, words } = error;
  if (status === 404) {
    return new CertificateError(
      'provider-not-found',
      `The cluster knows no CertificateRequest: install cert-manager (${words})`,
    );
  }
  const reason = [400, 403, 422].includes(status) ? 'provider-denied' : 'provider-unreachable';
  return new CertificateError(reason, `A CertificateRequest could not be made or read: ${words}`, { cause: error });
}

function fromBase64(text: string): string {
  return Buffer.from(text, 'base64').toString('utf8');
}
