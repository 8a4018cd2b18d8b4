import type { Static } from 'typebox';
import { age, type KindDefinition } from './kind.ts';
import { statusOf } from './common.ts';
import { duration, name, object, port, text } from './kit.ts';

const spec = object('Where the service is.', {
  host: name('Host name of the service.'),
  port: port('Port of the service.'),
  protocol: text('Protocol of the service, `h2c` for an OpenTelemetry collector.', { default: 'h2c' }),
  connectTimeout: duration('How long a connection may take.', { default: '5s' }),
});

export type ExtensionServiceSpec = Static<typeof spec>;

export const extensionService = {
  group: 'config.openservicemesh.io',
  kind: 'ExtensionService',
  plural: 'extensionservices',
  shortNames: ['extsvc'],
  description: 'The address of a service that helps the mesh, e.g. an OpenTelemetry collector.',
  versions: [{ name: 'v1alpha2' }],
  spec,
  status: statusOf({}),
  columns: [{ name: 'Host', type: 'string', jsonPath: '.spec.host' }, age],
  notYet: true,
} as const satisfies KindDefinition;
