/** The workload CA from its Secret, and the certificates that it issues to identities with connected sidecars. */
import type { CertificateAuthority } from '#certificates/ca.ts';
import { createBuiltinIssuer, type Issuer } from '#certificates/issuer.ts';
import { createWorkloadCache, type WorkloadCache, type WorkloadCacheEvent } from '#certificates/workload-cache.ts';
import type { AccountKey } from '#mesh/identity.ts';
import type { ResourceMap } from '#xds/cache/snapshot.ts';
import { secretsFrom } from './secrets.ts';

export interface WorkloadCaOptions {
  /** The authority as the Secret has it now; undefined when there is none. */
  readonly load: () => Promise<CertificateAuthority | undefined>;
  /** Of the MeshConfig; undefined while there is none. */
  readonly settings: () => { readonly trustDomain: string; readonly certificateLifetimeMs: number } | undefined;
  readonly onEvent: (event: WorkloadCacheEvent) => void;
  /** The CA, the trust domain or the certificates' lifetime is new: everything is issued anew. */
  readonly onAuthority: (authority: CertificateAuthority, trustDomain: string) => void;
  readonly onError: (error: unknown) => void;
  readonly now: () => number;
  /** Milliseconds between two looks at the Secret, before and after it was found. */
  readonly lookEveryMs?: { readonly missing: number; readonly found: number };
}

export interface WorkloadCa {
  start(): void;
  stop(): void;
  readonly loaded: boolean;
  /** The secrets of an account, as soon as there is a CA and whenever they change. */
  subscribe(account: AccountKey, onSecrets: (secrets: ResourceMap) => void): () => void;
}

export function createWorkloadCa(options: WorkloadCaOptions): WorkloadCa {
  const { lookEveryMs = { missing: 1000, found: 15_000 } } = options;
  const { promise: first, resolve: setFirst } = Promise.withResolvers<ReturnType<typeof secretsFrom>>();
  let issuer: Issuer | undefined;
  let cache: WorkloadCache | undefined;
  let used = '';
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;

  async function look(): Promise<void> {
    const settings = options.settings();
    if (settings === undefined) return;
    const authority = await options.load();
    // The lifetime too: a shorter one is asked for because live certificates last too long, so they are issued anew.
    const identity = `${authority?.fingerprint} ${settings.trustDomain} ${settings.certificateLifetimeMs}`;
    if (authority === undefined || identity === used || stopped) return;
    used = identity;
    issuer = createBuiltinIssuer({
      authority,
      trustDomain: settings.trustDomain,
      lifetimeMs: () => (options.settings() ?? settings).certificateLifetimeMs,
      now: options.now,
    });
    if (cache === undefined) {
      cache = createWorkloadCache({ issuer, onEvent: options.onEvent });
      setFirst(secretsFrom(cache, () => issuer?.roots() ?? new Map()));
    } else cache.useIssuer(issuer);
    options.onAuthority(authority, settings.trustDomain);
  }

  function lookAgain(): void {
    look()
      .catch(options.onError)
      .finally(() => {
        if (!stopped) timer = setTimeout(lookAgain, issuer === undefined ? lookEveryMs.missing : lookEveryMs.found);
      });
  }

  return {
    start: lookAgain,
    stop() {
      stopped = true;
      clearTimeout(timer);
      cache?.stop();
    },
    get loaded() {
      return issuer !== undefined;
    },
    subscribe(account, onSecrets) {
      let over = false;
      let stop: (() => void) | undefined;
      void first.then((subscribe) => {
        if (!over) stop = subscribe(account, onSecrets);
      });
      return () => {
        over = true;
        stop?.();
      };
    },
  };
}
