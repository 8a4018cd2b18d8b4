/** A MeshRootCertificate → what a choice of providers is made from. */
import type { RootCertificate } from '#certificates/choice.ts';
import { readCertificates } from '#certificates/pem.ts';
import type { ProviderSpec } from '#certificates/providers/provider.ts';
import { parseMeshRootCertificate } from '#crds/parse.ts';
import type { MeshRootCertificateSpec } from '#crds/types.ts';
import type { KubeObject } from '#kubernetes/types.ts';

/** `namespace`: the control plane's, the only one whose Secrets may be read. */
export function rootCertificate(object: KubeObject, namespace: string): RootCertificate {
  const { name, uid = '', creationTimestamp: createdAt = '' } = object.metadata;
  const knownRoots = usableRoots((object.status as { roots?: unknown } | undefined)?.roots);
  const lastUse = lastUseOf(object);
  const result = parseMeshRootCertificate(object);
  if (!result.ok) {
    const message = result.errors.map(({ field, message: what }) => `${field} ${what}`).join('; ');
    return {
      ...{ name, uid, createdAt, knownRoots, ...lastUse, role: roleOf(object), trustDomain: '' },
      provider: { kind: 'builtin', secret: { namespace, name: '' } },
      unusable: { key: 'root-certificate-invalid', message },
    };
  }
  const { spec } = result.value;
  const provider = providerOf(spec, namespace);
  const elsewhere = secretsElsewhere(spec, namespace);
  return {
    ...{ name, uid, createdAt, knownRoots, ...lastUse, role: spec.role, trustDomain: spec.trustDomain, provider },
    ...(elsewhere === undefined ? {} : { unusable: elsewhere }),
  };
}

/** Roots are found again; a status that somebody wrote something else into must not stop the mesh. */
function usableRoots(roots: unknown): string {
  try {
    return typeof roots === 'string' ? readCertificates(roots).map(String).join('') : '';
  } catch {
    return '';
  }
}

function lastUseOf({ status }: KubeObject): Pick<RootCertificate, 'lastUse'> {
  const { componentStatuses } = (status ?? {}) as { componentStatuses?: { sidecar?: unknown } };
  const use = componentStatuses?.sidecar;
  return use === 'issuing' || use === 'validating' || use === 'unused' ? { lastUse: use } : {};
}

/** Of an object that no schema accepts: an unusable one that is in use must be told, one that is not must not. */
function roleOf({ spec }: KubeObject): RootCertificate['role'] {
  const role = (spec as { role?: unknown } | undefined)?.role;
  return role === 'inactive' || role === 'passive' ? role : 'active';
}

function providerOf({ provider }: MeshRootCertificateSpec, namespace: string): ProviderSpec {
  const { tresor, vault, certManager } = provider;
  if (vault !== undefined) {
    const { protocol, host, port, mount, role, vaultNamespace, token, kubernetesAuth, caSecretRef } = vault;
    const shownHost = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
    return {
      kind: 'vault',
      address: `${protocol}://${shownHost}:${port}`,
      ...{ mount, role, vaultNamespace },
      login:
        kubernetesAuth === undefined
          ? { kind: 'token', secret: { name: token?.secretKeyRef.name ?? '', key: token?.secretKeyRef.key ?? '' } }
          : { kind: 'kubernetes', mount: kubernetesAuth.mount, role: kubernetesAuth.role },
      ca: caSecretRef,
    };
  }
  if (certManager !== undefined) {
    const { issuerName: name, issuerKind: kind, issuerGroup: group } = certManager;
    return { kind: 'cert-manager', namespace, issuer: { name, kind, group } };
  }
  return { kind: 'builtin', secret: { namespace, name: tresor?.ca.secretRef.name ?? '' } };
}

function secretsElsewhere({ provider }: MeshRootCertificateSpec, namespace: string): RootCertificate['unusable'] {
  const ref = provider.tresor?.ca.secretRef ?? provider.vault?.token?.secretKeyRef;
  if (ref === undefined || ref.namespace === namespace) return undefined;
  return {
    key: 'secret-in-other-namespace',
    message:
      `Secret ${ref.namespace}/${ref.name} is not in the control plane's namespace, and no other one's Secrets are read: ` +
      `copy it to ${namespace}, and make a new MeshRootCertificate that names it there`,
  };
}
