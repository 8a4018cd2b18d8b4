import type { Static } from 'typebox';
import { age, type KindDefinition } from './kind.ts';
import { list, name, object, oneOf, optional, text } from './kit.ts';

function identity(description: string, namespaceText: string) {
  return object(description, {
    kind: name('`ServiceAccount`; other kinds are reported and let nobody in.'),
    name: name('Its name.'),
    namespace: optional(text(namespaceText)),
  });
}

const spec = object('Who may call a service account, and what.', {
  destination: identity('Who is called.', 'Must be the TrafficTarget’s own namespace.'),
  sources: list(identity('Who calls.', 'Its namespace.'), 'Who may call.'),
  rules: list(
    object('Routes that may be called, in the TrafficTarget’s own namespace.', {
      kind: oneOf(
        ['HTTPRouteGroup', 'TCPRoute', 'UDPRoute'],
        'Kind of the routes; `UDPRoute` is accepted without effect.',
      ),
      name: name('Name of the routes.'),
      matches: optional(list(name('Name of a match.'), 'Matches of an HTTPRouteGroup; all of them where left out.')),
    }),
    'What they may call; one of the rules must match.',
  ),
});

export type TrafficTargetSpec = Static<typeof spec>;

export const trafficTarget = {
  group: 'access.smi-spec.io',
  kind: 'TrafficTarget',
  plural: 'traffictargets',
  shortNames: ['tt'],
  description: 'Allows service accounts to call another one (SMI traffic access).',
  versions: [{ name: 'v1alpha3' }],
  spec,
  columns: [{ name: 'Destination', type: 'string', jsonPath: '.spec.destination.name' }, age],
} as const satisfies KindDefinition;
