import type { Static } from 'typebox';
import { age, readyColumns, type KindDefinition } from './kind.ts';
import { namespacedName, statusOf } from './common.ts';
import { flag, name, object, oneOf, optional, port, text } from './kit.ts';

const tresor = object('The built-in authority.', {
  ca: object('The authority’s own certificate.', {
    secretRef: namespacedName('Secret with `ca.crt` and `private.key`; made when it does not exist.'),
  }),
});

const vault = object('HashiCorp Vault’s PKI engine.', {
  protocol: oneOf(['http', 'https'], 'How Vault is reached.', 'http'),
  host: name('Vault’s host name.'),
  port: port('Vault’s port.'),
  role: name('Role of the PKI engine that issues.'),
  token: object('What the mesh shows to Vault.', {
    secretKeyRef: object('Where the token is kept.', {
      name: name('Name of the Secret.'),
      key: name('Key in the Secret.'),
      namespace: name('Namespace of the Secret.'),
    }),
  }),
});

const certManager = object('cert-manager.', {
  issuerName: name('Name of the issuer.'),
  issuerKind: oneOf(['Issuer', 'ClusterIssuer'], 'Kind of the issuer.', 'Issuer'),
  issuerGroup: text('API group of the issuer.', { default: 'cert-manager.io' }),
  secretName: optional(text('Accepted without effect: the root comes with each certificate.')),
});

const spec = object('Where workload certificates come from.', {
  provider: object(
    'Exactly one of the three.',
    { tresor: optional(tresor), vault: optional(vault), certManager: optional(certManager) },
    { minProperties: 1, maxProperties: 1 },
  ),
  trustDomain: text('Trust domain of the identities that it certifies.', { default: 'cluster.local', maxLength: 255 }),
  role: oneOf(
    ['active', 'passive', 'inactive'],
    '`active` signs and is trusted, `passive` is trusted only, `inactive` is neither.',
    'active',
  ),
  spiffeEnabled: flag(
    'Accepted without effect: certificates always carry a SPIFFE identity, and peers always check it.',
    false,
  ),
});

export type MeshRootCertificateSpec = Static<typeof spec>;

const use = oneOf(['issuing', 'validating', 'unused', 'unknown'], 'What this part does with the certificate.');

export const meshRootCertificate = {
  group: 'config.openservicemesh.io',
  kind: 'MeshRootCertificate',
  plural: 'meshrootcertificates',
  shortNames: ['mrc'],
  description: 'A root of trust of the mesh. Only those in the control plane’s namespace count.',
  versions: [{ name: 'v1alpha2' }],
  spec,
  status: statusOf({
    state: optional(text('State of the rotation.')),
    transitionAfter: optional(text('When the next step of the rotation may be taken.', { format: 'date-time' })),
    componentStatuses: optional(
      object('What each part of the mesh does with it.', {
        validatingWebhook: optional(use),
        mutatingWebhook: optional(use),
        xdsControlPlane: optional(use),
        sidecar: optional(use),
        bootstrap: optional(use),
        gateway: optional(use),
      }),
    ),
  }),
  columns: [{ name: 'Role', type: 'string', jsonPath: '.spec.role' }, ...readyColumns, age],
  notYet: true,
} as const satisfies KindDefinition;
