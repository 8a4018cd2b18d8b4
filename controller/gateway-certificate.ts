/**
 * Keeps the certificate of the ingress gateway (`spec.certificate.ingressGateway`) in its Secret. The one controller that leads does
 * it, and what it does follows from what the Secret holds (certificates/gateway-certificate.ts): a new leader goes on from there.
 * The Secret belongs to the Role by which the operator lets us write it, and goes with that.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { nameOf, type Trouble, troubleOf } from '#certificates/facts.ts';
import {
  decideGateway,
  type DnsNames,
  type GatewayDecision,
  type GatewaySecret,
  gatewaySecret,
  type GatewayWanted,
  withTrust,
} from '#certificates/gateway-certificate.ts';
import { mergeRoots } from '#certificates/pem.ts';
import type { SecretName } from '#certificates/secret-store.ts';
import { backoffMs } from '#kubernetes/backoff.ts';
import { isConflict, isStatus, KubernetesError } from '#kubernetes/error.ts';
import type { EventNote } from '#kubernetes/event-object.ts';
import { apiVersionOf, Roles, Secrets } from '#kubernetes/kinds.ts';
import type { KubeObject, KubernetesClient } from '#kubernetes/types.ts';
import { createCoalescer } from './coalesce.ts';
import type { Metrics } from './metrics.ts';
import type { GatewaySettings } from './parse/config.ts';
import type { CurrentSigner } from './signing.ts';

/** Role and RoleBinding that the operator makes beside the Secret (cdk8s/names.ts). */
const roleName = 'osm-controller-gateway';
const fieldManager = 'osm-controller';

export interface GatewayFact {
  readonly secret: SecretName;
  readonly dnsNames: DnsNames;
  /** `reason` is CamelCase, for the condition. */
  readonly trouble: (Trouble & { readonly reason: string }) | undefined;
  /** End of what the Secret holds, in milliseconds since 1970; undefined when that is nothing of ours, or not known yet. */
  readonly notAfter: number | undefined;
}

export interface GatewayCertificateOptions {
  readonly client: KubernetesClient;
  readonly meshName: string;
  readonly log: Logger;
  readonly metrics: Pick<Metrics, 'certificates' | 'certificateFailures' | 'providerFailures'>;
  /** Undefined: none is asked for. */
  readonly settings: () => GatewaySettings | undefined;
  /** Undefined while nobody signs. */
  readonly signer: () => CurrentSigner | undefined;
  readonly hasNamespace: (name: string) => boolean;
  /** What Events are about. */
  readonly meshConfig: () => KubeObject | undefined;
  readonly record: (note: EventNote) => void;
  readonly onFact: () => void;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export interface GatewayCertificate {
  /** From now on, and until the signal aborts, it is this controller's to keep. */
  lead(signal: AbortSignal): void;
  /** What it follows from may have changed. */
  lookNow(): void;
  /** Undefined when none is asked for. */
  fact(): GatewayFact | undefined;
  stop(): void;
}

/** Nobody tells of a Secret that was deleted or edited: it is looked at. */
const lookEveryMs = 5_000;
const retry = { firstMs: 1_000, longestMs: 30_000, random: Math.random };
/** The same trouble is told again after this long; and the operator, which grants the Secret, is given this long for it. */
const againMs = 60_000;
const grantMs = 10_000;

/** What keeps the certificate from its Secret, with the condition's reason for it. */
class GatewayTrouble extends Error {
  readonly reason: string;
  readonly key: string;

  constructor(reason: string, key: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
    this.key = key;
  }
}

export function createGatewayCertificate(options: GatewayCertificateOptions): GatewayCertificate {
  const { client, log, metrics, now } = options;
  let term: AbortSignal | undefined;
  /** Of these settings. */
  let known: { readonly settings: GatewaySettings; readonly fact: GatewayFact } | undefined;
  let failures = 0;
  /** Milliseconds since 1970. */
  let nextLook = 0;
  let standing: { readonly key: string; readonly since: number; toldAt: number | undefined } | undefined;

  const looks = createCoalescer({
    windowMs: 10,
    run: look,
    onError: (error) => log.error({ err: error }, 'the certificate of the ingress gateway could not be looked at'),
  });

  async function look(): Promise<void> {
    const settings = options.settings();
    if (!isLeading()) return;
    if (settings === undefined) {
      if (known !== undefined) note(undefined);
      return;
    }
    const signer = options.signer();
    if (signer === undefined) return;
    let seen: GatewayDecision | undefined;
    try {
      const wanted = wantedOf(settings, signer);
      const stored = await readSecret(settings.secret);
      seen = decideGateway(stored, wanted, now());
      const notAfter = await follow(seen, wanted, stored, signer);
      failures = 0;
      nextLook = now() + lookEveryMs;
      note({ settings, fact: { ...settings, trouble: undefined, notAfter } });
    } catch (error) {
      if (!isLeading()) return;
      // Somebody wrote it at the same time: what it is now decides.
      if (isConflict(error)) return looks.trigger('the Secret has changed');
      failed(settings, seen?.notAfter, troubleWith(error, settings.secret, signer));
    }
  }

  function isLeading(): boolean {
    return term?.aborted === false;
  }

  function wantedOf(settings: GatewaySettings, signer: CurrentSigner): GatewayWanted {
    return {
      ...settings,
      meshName: options.meshName,
      signer,
      trustPem: mergeRoots([...signer.trust.values()], now()),
    };
  }

  async function readSecret({ namespace, name }: SecretName): Promise<GatewaySecret | undefined> {
    if (!options.hasNamespace(namespace)) {
      const message = `There is no namespace ${namespace}; make it, or name another one in spec.certificate.ingressGateway.secret`;
      throw new GatewayTrouble('NamespaceMissing', 'gateway-namespace-missing', message);
    }
    return client.get<GatewaySecret>(Secrets, name, namespace).catch((error: unknown) => {
      throw isStatus(error, 403) ? notGranted(namespace, error) : error;
    });
  }

  /** Returns the end of what the Secret holds then. */
  async function follow(
    { key, action, message, trusts, notAfter }: GatewayDecision,
    wanted: GatewayWanted,
    stored: GatewaySecret | undefined,
    signer: CurrentSigner,
  ): Promise<number | undefined> {
    if (action === 'none') return notAfter;
    if (action === 'refuse') throw new GatewayTrouble('SecretNotOurs', 'gateway-secret-not-ours', message);
    let current = stored;
    if (stored !== undefined && notAfter !== undefined && !trusts) {
      // First of all: what sidecars are about to present, the gateway must trust, also when no certificate is to be had.
      current = await write(withTrust(stored, wanted), stored);
      log.info({ key: 'trust-differs', ...wanted.secret }, 'the ingress gateway is given other roots');
    }
    if (action === 'trust') return notAfter;
    const issued = await signer.issueNamed(wanted.dnsNames, wanted.lifetimeMs);
    await write(gatewaySecret(wanted, issued), current);
    metrics.certificates.inc();
    log.info({ key, ...wanted.secret, serial: issued.serial }, `the ingress gateway has a new certificate: ${message}`);
    return issued.notAfter;
  }

  /** Only over what was seen, and only into nothing where nothing was. */
  async function write(secret: GatewaySecret, stored: GatewaySecret | undefined): Promise<GatewaySecret> {
    const { namespace = '' } = secret.metadata;
    const role = await client.get<KubeObject>(Roles, roleName, namespace).catch((error: unknown) => {
      throw isStatus(error, 403) ? notGranted(namespace, error) : error;
    });
    if (role?.metadata.uid === undefined) throw notGranted(namespace, undefined);
    if (!isLeading()) throw new Error('another controller leads now');
    const owner = { apiVersion: apiVersionOf(Roles), kind: Roles.kind, name: roleName, uid: role.metadata.uid };
    const { uid, resourceVersion } = stored?.metadata ?? {};
    const seen = uid === undefined || resourceVersion === undefined ? {} : { uid, resourceVersion };
    return client.apply(
      Secrets,
      { ...secret, metadata: { ...secret.metadata, ...seen, ownerReferences: [owner] } },
      { fieldManager, force: stored !== undefined },
    );
  }

  function failed(settings: GatewaySettings, notAfter: number | undefined, trouble: GatewayTrouble): void {
    failures++;
    const at = now();
    nextLook = at + backoffMs(failures, retry);
    const { reason, key, message } = trouble;
    note({ settings, fact: { ...settings, trouble: { reason, key, message }, notAfter } });
    if (standing?.key !== key) standing = { key, since: at, toldAt: undefined };
    if (reason === 'NotGranted' && at - standing.since < grantMs) return;
    if (standing.toldAt !== undefined && at - standing.toldAt < againMs) return;
    standing.toldAt = at;
    log.error({ key, ...settings.secret }, `no certificate for the ingress gateway: ${message}`);
    const regarding = options.meshConfig();
    if (regarding === undefined) return;
    const event = { type: 'Warning', reason: 'GatewayCertificateNotIssued', action: 'Issue' } as const;
    options.record({ ...event, regarding, note: `${key}: ${message}` });
  }

  function troubleWith(error: unknown, { namespace, name }: SecretName, { source }: CurrentSigner): GatewayTrouble {
    if (error instanceof GatewayTrouble) return error;
    if (error instanceof KubernetesError) {
      const message = `Secret ${namespace}/${name} could not be read or written: ${error.words}`;
      return new GatewayTrouble('SecretRefused', 'gateway-secret-refused', message, { cause: error });
    }
    const { key, message } = troubleOf(error);
    metrics.certificateFailures.inc();
    metrics.providerFailures.inc({ provider: source.provider.kind, key });
    return new GatewayTrouble('ProviderTrouble', key, `${nameOf(source)} issues none: ${message}`, { cause: error });
  }

  function note(next: typeof known): void {
    const changed = !isDeepStrictEqual(next, known);
    known = next;
    if (next?.fact.trouble === undefined) standing = undefined;
    if (changed) options.onFact();
  }

  const clock = setInterval(() => {
    // A clock that was set back would put the next look far off: no wait is longer than the longest.
    const wait = nextLook - now();
    if (wait <= 0 || wait > retry.longestMs) looks.trigger('time passes');
  }, 1_000);
  clock.unref();

  return {
    lead(signal) {
      term = signal;
      known = undefined;
      signal.addEventListener('abort', () => {
        known = undefined;
      });
      looks.trigger('this controller leads');
    },
    lookNow() {
      looks.trigger('something changed');
    },
    fact() {
      const settings = options.settings();
      if (settings === undefined) return undefined;
      if (isDeepStrictEqual(known?.settings, settings)) return known?.fact;
      return { ...settings, trouble: undefined, notAfter: undefined };
    },
    stop() {
      term = undefined;
      clearInterval(clock);
      looks.stop();
    },
  };
}

function notGranted(namespace: string, cause: unknown): GatewayTrouble {
  const message =
    `The operator has not let the controller write the Secret yet (Role ${roleName} in namespace ${namespace}), and never does for ` +
    'one that the control plane itself serves or signs with; else its log and the condition Ready of the MeshConfig say why';
  return new GatewayTrouble('NotGranted', 'gateway-not-granted', message, { cause });
}
