import { Type, type Static } from 'typebox';
import { age, type KindDefinition } from './kind.ts';
import { list, name, object, oneOf, optional, type Rule } from './kit.ts';

const wholeNumber: Rule = {
  rule: 'self == double(int(self))',
  message: 'weight must be a whole number',
  holds: (self: number) => Number.isInteger(self),
};

const spec = object('How the traffic to a service is shared out.', {
  service: name('The service that clients call: `name`, `name.namespace` or a full host name.'),
  backends: list(
    object('A service that gets a share.', {
      service: name('Name of the service, in the TrafficSplit’s namespace.'),
      // "number" is SMI's type; the rule holds what it means, and says so better than the schema's own message.
      weight: Type.Unsafe<number>({
        type: 'number',
        minimum: 0,
        maximum: 4294967295,
        description: 'Its share, relative to the sum of all; 0 gets nothing.',
        'x-kubernetes-validations': [wholeNumber],
      }),
    }),
    'Where the traffic goes.',
  ),
  matches: optional(
    list(
      object('A group of routes, in the TrafficSplit’s namespace.', {
        kind: oneOf(['HTTPRouteGroup'], 'Always `HTTPRouteGroup`.'),
        name: name('Its name.'),
      }),
      'The split concerns only requests that fit one of these; all traffic where left out.',
    ),
  ),
});

export type TrafficSplitSpec = Static<typeof spec>;

export const trafficSplit = {
  group: 'split.smi-spec.io',
  kind: 'TrafficSplit',
  plural: 'trafficsplits',
  shortNames: ['ts'],
  description: 'Shares the traffic to a service out among others (SMI traffic split).',
  versions: [{ name: 'v1alpha2' }, { name: 'v1alpha3' }, { name: 'v1alpha4' }],
  spec,
  columns: [
    { name: 'Service', type: 'string', jsonPath: '.spec.service', description: 'The service that is split.' },
    age,
  ],
} as const satisfies KindDefinition;
