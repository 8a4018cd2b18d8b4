import type { Static } from 'typebox';
import { age, type KindDefinition } from './kind.ts';
import { reference, statusOf } from './common.ts';
import { duration, integer, list, object, optional, text } from './kit.ts';

const spec = object('Which requests are sent again.', {
  source: reference('ServiceAccount', 'Who calls.'),
  destinations: list(reference('Service', 'A service.'), 'What is called.'),
  retryPolicy: object('When, and how often.', {
    retryOn: text('Envoy’s `retry_on` conditions, separated by commas.', { default: '5xx' }),
    perTryTimeout: optional(duration('How long each attempt may take; as long as the request where left out.')),
    numRetries: integer('The most attempts after the first.', { default: 1, minimum: 0 }),
    retryBackoffBaseInterval: duration('Base of the growing pause between attempts, which ends at ten times this.', {
      default: '25ms',
    }),
  }),
});

export type RetrySpec = Static<typeof spec>;

export const retry = {
  group: 'policy.openservicemesh.io',
  kind: 'Retry',
  plural: 'retries',
  shortNames: ['retry'],
  description: 'Sends failed requests again; honoured with `featureFlags.enableRetryPolicy`.',
  versions: [{ name: 'v1alpha1' }],
  spec,
  status: statusOf({}),
  columns: [age],
  notYet: true,
} as const satisfies KindDefinition;
