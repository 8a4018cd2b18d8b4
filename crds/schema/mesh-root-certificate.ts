import type { Static } from 'typebox';
import { age, readyColumns, readyMessage, type KindDefinition } from './kind.ts';
import { statusOf } from './common.ts';
import { flag, name, object, oneOf, optional, port, text } from './kit.ts';

/** Secrets that the operator keeps for the control plane alone (cdk8s/names.ts): whoever edits a MeshRootCertificate must not read them. */
const CONTROL_PLANE_SECRETS = ['osm-control-plane-ca', 'osm-injector-tls', 'osm-controller-tls'];

/** Name of a Secret that the controller is let to read for a provider, and shows it to in the case of a token. */
function secretName(refused: readonly string[]) {
  const list = refused.map((secret) => `'${secret}'`).join(', ');
  const rule = {
    rule: `!(self in [${list}])`,
    message: `it must be none of the mesh's own Secrets: ${refused.join(', ')}`,
    holds: (self: string) => !refused.includes(self),
  };
  return text('Name of the Secret.', { minLength: 1, maxLength: 253, rules: [rule] });
}

const providersSecret = secretName([...CONTROL_PLANE_SECRETS, 'osm-ca-bundle']);

const tresor = object('The built-in authority.', {
  ca: object('The authority’s own certificate.', {
    secretRef: object(
      'Secret of the control plane’s namespace with `ca.crt` (intermediates first, then their root) and `private.key`; where there is none, the operator makes an authority under that name.',
      { name: secretName(CONTROL_PLANE_SECRETS), namespace: name('Its namespace.') },
    ),
  }),
});

const vault = object(
  'HashiCorp Vault’s PKI engine.',
  {
    protocol: oneOf(['http', 'https'], 'How Vault is reached; `http` shows the mesh’s token to the network.', 'http'),
    host: name('Vault’s host name.'),
    port: port('Vault’s port.'),
    mount: text('Path at which the PKI engine is mounted.', { default: 'pki', pattern: '^[^/\\s?#]+(/[^/\\s?#]+)*$' }),
    role: name('Role of the PKI engine that issues. It must allow the mesh’s names: `allowed_uri_sans` above all.'),
    vaultNamespace: optional(text('Namespace of Vault Enterprise.')),
    token: optional(
      object('A token that the mesh shows to Vault, where it does not log in by itself.', {
        secretKeyRef: object('Where the token is kept.', {
          name: providersSecret,
          key: name('Key in the Secret.'),
          namespace: name('Namespace of the Secret: the control plane’s own.'),
        }),
      }),
    ),
    kubernetesAuth: optional(
      object('Logs in with the controller’s service-account token, whose audience is `vault`.', {
        mount: text('Path at which the auth method is mounted, without `auth/`.', { default: 'kubernetes' }),
        role: name('Role of the auth method, bound to service account `osm-controller` and audience `vault`.'),
      }),
    ),
    caSecretRef: optional(
      object(
        'Roots of Vault’s own serving certificate, in a Secret of the control plane’s namespace; the system’s where left out.',
        {
          name: providersSecret,
          key: text('Key in the Secret.', { default: 'ca.crt' }),
        },
      ),
    ),
  },
  {
    rules: [
      {
        rule: 'has(self.token) != has(self.kubernetesAuth)',
        message: 'exactly one of token and kubernetesAuth is needed',
        holds: (self: { token?: object; kubernetesAuth?: object }) =>
          (self.token === undefined) !== (self.kubernetesAuth === undefined),
      },
    ],
  },
);

const certManager = object(
  'cert-manager.',
  {
    issuerName: name('Name of the issuer; an `Issuer` is that of the control plane’s namespace.'),
    issuerKind: text('Kind of the issuer: `Issuer`, `ClusterIssuer`, or one of another group’s.', {
      default: 'Issuer',
    }),
    issuerGroup: text('API group of the issuer; another one for issuers outside cert-manager.', {
      default: 'cert-manager.io',
    }),
    secretName: optional(text('Accepted without effect: the root comes with each certificate.')),
  },
  {
    rules: [
      {
        rule: "self.issuerGroup != 'cert-manager.io' || self.issuerKind in ['Issuer', 'ClusterIssuer']",
        message: 'issuerKind must be Issuer or ClusterIssuer in group cert-manager.io',
        fieldPath: '.issuerKind',
        holds: (self: { issuerGroup: string; issuerKind: string }) =>
          self.issuerGroup !== 'cert-manager.io' || ['Issuer', 'ClusterIssuer'].includes(self.issuerKind),
      },
    ],
  },
);

const spec = object('Where workload certificates come from.', {
  provider: object(
    'Exactly one of the three.',
    { tresor: optional(tresor), vault: optional(vault), certManager: optional(certManager) },
    { minProperties: 1, maxProperties: 1 },
  ),
  trustDomain: text('Trust domain of the identities that it certifies.', {
    default: 'cluster.local',
    maxLength: 255,
    pattern: '^[a-z0-9]([-a-z0-9._]*[a-z0-9])?$',
  }),
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
    state: optional(
      text(
        'Step of the walk that it is in: `spreading`, `trusted`, `handing-over`, `signing`, `replacing`, `retiring`, `unused`, or `error`.',
      ),
    ),
    roots: optional(
      text(
        'PEM of the roots that its certificates were found to lead to, which peers trust; so they are known while the provider is down.',
      ),
    ),
    transitionAfter: optional(
      text('When the step under way ends at the latest, where that is known.', { format: 'date-time' }),
    ),
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
  columns: [{ name: 'Role', type: 'string', jsonPath: '.spec.role' }, ...readyColumns, age, readyMessage],
} as const satisfies KindDefinition;
