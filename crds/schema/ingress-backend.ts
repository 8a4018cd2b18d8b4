import type { Static } from 'typebox';
import { age, type KindDefinition } from './kind.ts';
import { localReference, policyStatus, portAndProtocol } from './common.ts';
import { flag, list, name, object, optional, text } from './kit.ts';

const spec = object('Which services take traffic from outside the mesh, and from whom.', {
  backends: list(
    object('A service in the IngressBackend’s namespace.', {
      name: name('Name of the service.'),
      port: portAndProtocol('`http` or `https`. The number is the service’s target port.'),
      tls: optional(
        object('For https.', {
          skipClientCertValidation: flag('Does not ask the client for a certificate.', false),
          sniHosts: optional(list(name('A host name.'), 'Server names that clients ask for.')),
        }),
      ),
    }),
    'Services that take it.',
  ),
  sources: list(
    object('Who sends it.', {
      kind: name(
        '`Service` (the addresses of its endpoints), `IPRange` (name is a range) or `AuthenticatedPrincipal` (name is a name in the client’s certificate).',
      ),
      name: name('Name of the service, the range, or the principal.'),
      namespace: optional(text('Namespace of the service.')),
    }),
    'Who may send it.',
  ),
  matches: optional(list(localReference, 'Accepted without effect, as in OSM.')),
});

export type IngressBackendSpec = Static<typeof spec>;

export const ingressBackend = {
  group: 'policy.openservicemesh.io',
  kind: 'IngressBackend',
  plural: 'ingressbackends',
  shortNames: ['ingressbackend'],
  description: 'Lets an ingress gateway outside the mesh call services inside it.',
  versions: [{ name: 'v1alpha1' }],
  spec,
  status: policyStatus,
  columns: [{ name: 'Status', type: 'string', jsonPath: '.status.currentStatus' }, age],
  notYet: true,
} as const satisfies KindDefinition;
