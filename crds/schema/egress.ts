import type { Static } from 'typebox';
import { age, type KindDefinition } from './kind.ts';
import { localReference, portAndProtocol, reference, statusOf } from './common.ts';
import { cidr, list, name, object, optional } from './kit.ts';

const spec = object('Who may reach what outside the mesh.', {
  sources: list(reference('ServiceAccount', 'Who may.'), 'Service accounts that may.'),
  hosts: optional(list(name('A host name.'), 'Hosts: the Host header of http, the server name of https.')),
  ipAddresses: optional(list(cidr('A range.'), 'Destinations of tcp and https.')),
  ports: list(portAndProtocol('`http`, `https`, `tcp` or `tcp-server-first`.'), 'Ports of the destinations.'),
  matches: optional(
    list(localReference, 'HTTPRouteGroups that narrow http, or an UpstreamTrafficSetting for the destination.'),
  ),
});

export type EgressSpec = Static<typeof spec>;

export const egress = {
  group: 'policy.openservicemesh.io',
  kind: 'Egress',
  plural: 'egresses',
  shortNames: ['egress'],
  description: 'Lets service accounts reach destinations outside the mesh, where `traffic.enableEgress` is false.',
  versions: [{ name: 'v1alpha1' }],
  spec,
  status: statusOf({}),
  columns: [age],
  notYet: true,
} as const satisfies KindDefinition;
