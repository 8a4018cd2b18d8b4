import type { Static } from 'typebox';
import { age, type KindDefinition } from './kind.ts';
import { list, object, port } from './kit.ts';

const spec = object('TCP connections that policies can name.', {
  matches: object('Connections that fit.', {
    ports: list(port('A port.'), 'Ports of the destination’s container (target ports); an empty list means any.'),
  }),
});

export type TcpRouteSpec = Static<typeof spec>;

export const tcpRoute = {
  group: 'specs.smi-spec.io',
  kind: 'TCPRoute',
  plural: 'tcproutes',
  shortNames: ['tr'],
  description: 'TCP ports, for TrafficTarget (SMI traffic specs).',
  versions: [{ name: 'v1alpha4' }],
  spec,
  columns: [age],
} as const satisfies KindDefinition;
