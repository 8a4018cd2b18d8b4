/** The controller's process. */
import pino from 'pino';
import { createClient } from '#kubernetes/client.ts';
import packageJson from '../package.json' with { type: 'json' };
import { startController } from './controller.ts';
import { readEnvironment } from './environment.ts';

const environment = readEnvironment(process.env);
const log = pino({ level: environment.logLevel, base: { component: 'osm-controller' } });
const client = createClient();

const controller = await startController({
  client,
  environment,
  log,
  version: packageJson.version,
  // Both families where there are both.
  host: '::',
  xdsPort: 15128,
  apiPort: 9092,
  healthPort: 9091,
  drainMs: 10_000,
});

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => {
    log.info({ signal }, 'stopping');
    controller.stop().then(
      () => client.close(),
      (error: unknown) => {
        log.error({ err: error }, 'could not stop in good order');
        process.exitCode = 1;
      },
    );
  });
}
