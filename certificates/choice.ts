/**
 * Who signs workload certificates, and whose roots peers trust: decided from the MeshRootCertificates of the control
 * plane's namespace and the MeshConfig. Pure.
 *
 *     roles in use          signing              validating
 *     none                  built-in             built-in
 *     passive               built-in             built-in + passive
 *     active                active               active
 *     active + passive      active               both
 *     active + active       the older            both
 *     more                  a problem: what was chosen before stays in force
 *
 * So the walk of a rotation (reference 2.17) is a walk through the lines of this table, and each step can be taken back.
 */
import type { BuiltinSpec, ProviderSpec } from './providers/provider.ts';

/** A MeshRootCertificate, as far as a choice needs it. */
export interface RootCertificate {
  readonly name: string;
  readonly uid: string;
  /** ISO 8601, as the API server wrote it. */
  readonly createdAt: string;
  readonly role: 'active' | 'passive' | 'inactive';
  readonly trustDomain: string;
  readonly provider: ProviderSpec;
  /** Why it cannot be used at all, e.g. a Secret in a namespace that we may not read. */
  readonly unusable?: { readonly key: string; readonly message: string };
  /** PEM roots that were found before, by any replica: known while the provider is down. */
  readonly knownRoots: string;
  /** What sidecars did with it last, as its status tells; undefined when that says nothing of the kind. */
  readonly lastUse?: 'issuing' | 'validating' | 'unused';
}

/** What a choice takes from the MeshConfig, and where the control plane lives. */
export interface MeshCertificateSettings {
  readonly trustDomain: string;
  readonly namespace: string;
}

/** A provider in use, with the trust domain of the identities that it certifies. */
export interface Source {
  /** Undefined for the built-in one that is used where nobody chose. */
  readonly root: Pick<RootCertificate, 'name' | 'uid' | 'knownRoots'> | undefined;
  readonly trustDomain: string;
  readonly provider: ProviderSpec;
}

export type Choice =
  | {
      readonly kind: 'chosen';
      readonly signing: Source /** The signing one first. */;
      readonly validating: readonly Source[];
    }
  | {
      readonly kind: 'problem';
      readonly key: string;
      readonly message: string /** Names of MeshRootCertificates. */;
      readonly about: readonly string[];
    };

/** What was in force before this process: who signed, the likeliest first, and who else was trusted. */
export interface LastChoice {
  readonly signing: readonly Source[];
  readonly validating: readonly Source[];
  /** The built-in authority, where statuses were written and none says that its MeshRootCertificate signed. */
  readonly likely: Source | undefined;
}

/** The Secret that the operator makes. */
const builtinSecret = 'osm-ca-bundle';

export function chooseIssuers(roots: readonly RootCertificate[], settings: MeshCertificateSettings): Choice {
  const used = roots.filter(({ role }) => role !== 'inactive').toSorted(byAge);
  const about = used.map(({ name }) => name);
  if (used.length > 2) {
    return {
      kind: 'problem',
      key: 'too-many-root-certificates',
      message:
        `MeshRootCertificates ${about.join(', ')} are active or passive, and at most two may be: ` +
        'end the rotation that is under way (make the old one inactive) before the next begins',
      about,
    };
  }
  const broken = used.find(({ unusable }) => unusable !== undefined);
  if (broken?.unusable !== undefined) {
    const { key, message } = broken.unusable;
    return { kind: 'problem', key, message: `MeshRootCertificate ${broken.name}: ${message}`, about: [broken.name] };
  }
  const sources = used.map(sourceOf);
  const active = used.findIndex(({ role }) => role === 'active');
  const signing = sources[active] ?? builtin(settings);
  return { kind: 'chosen', signing, validating: [signing, ...sources.filter((source) => source !== signing)] };
}

/**
 * As it is known from replicas (`signers`: UIDs of MeshRootCertificates, empty for the built-in authority), or else from the
 * statuses. One that is inactive by now may sign on until sidecars trust its successor.
 */
export function lastChoice(
  roots: readonly RootCertificate[],
  signers: readonly string[],
  settings: MeshCertificateSettings,
): LastChoice {
  const usable = roots.filter(({ unusable }) => unusable === undefined).toSorted(byAge);
  const issuing = usable.filter(({ lastUse }) => lastUse === 'issuing').map(({ uid }) => uid);
  const found = (signers.length > 0 ? signers : issuing).flatMap((uid) =>
    uid === '' ? [builtin(settings)] : usable.filter((root) => root.uid === uid).map(sourceOf),
  );
  const told = found.length === 0 && roots.some(({ lastUse }) => lastUse !== undefined);
  return {
    signing: found,
    validating: usable.filter(({ lastUse }) => lastUse === 'validating').map(sourceOf),
    likely: told ? builtin(settings) : undefined,
  };
}

/** The older first; the name decides between those of one second. */
function byAge(a: RootCertificate, b: RootCertificate): number {
  const [one, other] = [`${a.createdAt} ${a.name}`, `${b.createdAt} ${b.name}`];
  return one < other ? -1 : 1;
}

function sourceOf({ name, uid, knownRoots, trustDomain, provider }: RootCertificate): Source {
  return { root: { name, uid, knownRoots }, trustDomain, provider };
}

function builtin({ trustDomain, namespace }: MeshCertificateSettings): Source {
  const provider: BuiltinSpec = { kind: 'builtin', secret: { namespace, name: builtinSecret } };
  return { root: undefined, trustDomain, provider };
}
