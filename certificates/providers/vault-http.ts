/** Vault's HTTP API: JSON in, JSON out, and Vault's own words when it refuses. */
import { Agent, fetch } from 'undici';
import { CertificateError } from '../error.ts';
import type { SecretBytes } from '../secret-bytes.ts';

export interface VaultHttpOptions {
  /** E.g. `https://vault.vault.svc:8200`. */
  readonly address: string;
  readonly vaultNamespace: string | undefined;
  /** PEM roots of Vault's serving certificate; the system's where undefined. */
  readonly caPem: string | undefined;
  /** A call fails when it takes longer; 15,000 ms by default. */
  readonly timeoutMs?: number;
}

export interface VaultCall {
  readonly method: 'GET' | 'POST';
  /** Below `/v1/`, e.g. `pki/sign/web`. */
  readonly path: string;
  readonly token?: SecretBytes;
  readonly body?: Readonly<Record<string, unknown>>;
}

/** The parts of an answer that we read; `data` of engines, `auth` of logins. */
export interface VaultAnswer {
  readonly data?: Readonly<Record<string, unknown>>;
  readonly auth?: {
    readonly client_token?: string;
    /** Seconds; 0 never ends. */
    readonly lease_duration?: number;
    readonly renewable?: boolean;
  };
}

/** Vault answered with 400 or more. The message holds its words, and never a token: Vault does not quote one. */
export class VaultRefusal extends Error {
  readonly status: number;
  /** Vault's `errors`, joined. */
  readonly words: string;

  constructor(path: string, status: number, words: string) {
    super(`Vault answered ${status} to ${path}: ${words}`);
    this.name = 'VaultRefusal';
    this.status = status;
    this.words = words;
  }
}

export interface VaultHttp {
  /** Throws a VaultRefusal, or a CertificateError `provider-unreachable` when there is no answer. */
  call(call: VaultCall): Promise<VaultAnswer>;
  close(): void;
}

/** A standby node sends on to the active one; more than that is a loop. */
const mostRedirects = 2;

export function createVaultHttp(options: VaultHttpOptions): VaultHttp {
  const { address, vaultNamespace, caPem, timeoutMs = 15_000 } = options;
  const agent = new Agent({
    connections: 16,
    ...(caPem === undefined ? {} : { connect: { ca: caPem } }),
  });

  async function send(url: URL, { method, token, body }: VaultCall, redirects: number): ReturnType<typeof fetch> {
    const answer = await fetch(url, {
      method,
      dispatcher: agent,
      redirect: 'manual',
      signal: AbortSignal.timeout(timeoutMs),
      headers: {
        'x-vault-request': 'true',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(token === undefined ? {} : { 'x-vault-token': token.revealText().trim() }),
        ...(vaultNamespace === undefined ? {} : { 'x-vault-namespace': vaultNamespace }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const location = answer.headers.get('location');
    if ((answer.status !== 307 && answer.status !== 308) || location === null) return answer;
    await answer.body?.cancel();
    const next = new URL(location, url);
    // The token goes along: never from https to http, and not in circles.
    if (redirects >= mostRedirects || (url.protocol === 'https:' && next.protocol !== 'https:')) {
      throw new Error(`it sends on to ${next.origin}, which is not followed`);
    }
    return send(next, { method, path: '', ...(token && { token }), ...(body && { body }) }, redirects + 1);
  }

  return {
    async call(call) {
      const url = new URL(`/v1/${call.path}`, address);
      let status: number;
      let text: string;
      try {
        const answer = await send(url, call, 0);
        status = answer.status;
        text = await answer.text();
      } catch (error) {
        const message = `Vault at ${url.origin} cannot be reached: ${reasonOf(error)}`;
        throw new CertificateError('provider-unreachable', message, { cause: error });
      }
      if (status >= 400) throw new VaultRefusal(call.path, status, wordsOf(text));
      return text === '' ? {} : parse(text, url);
    },
    close: () => void agent.close(),
  };
}

/** fetch says "fetch failed" and keeps what happened in its cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return 'no answer in time';
  return error.cause instanceof Error && error.cause.message !== '' ? error.cause.message : error.message;
}

function parse(text: string, url: URL): VaultAnswer {
  try {
    return JSON.parse(text) as VaultAnswer;
  } catch (error) {
    // Not quoted: what answers in place of Vault may echo anything.
    throw new CertificateError('provider-failed', `${url.origin} does not answer as Vault does: no JSON`, {
      cause: error,
    });
  }
}

function wordsOf(text: string): string {
  try {
    const { errors } = JSON.parse(text) as { errors?: readonly unknown[] };
    if (Array.isArray(errors)) return errors.length === 0 ? 'it gives no reason' : errors.map(String).join('; ').trim();
  } catch {
    // A proxy's page: its status says enough.
  }
  return 'it gives no reason';
}
