/** The injector's process. */
import { networkInterfaces } from 'node:os';
import pino from 'pino';
import { createClient } from '#kubernetes/client.ts';
import packageJson from '../package.json' with { type: 'json' };
import { readEnvironment } from './environment.ts';
import { startInjector } from './injector.ts';

const environment = readEnvironment(process.env);
// Lines go out together, a quarter of a second late at most: a write for each review was a seventh of its cost.
const destination = pino.destination({ sync: false, minLength: 8_192, periodicFlush: 250 });
const log = pino({ level: environment.logLevel, base: { component: 'osm-injector' } }, destination);
const client = createClient();

const injector = await startInjector({
  client,
  environment,
  log,
  version: packageJson.version,
  host: environment.listenAddress ?? anyAddress(),
  webhookPort: 9090,
  healthPort: 9091,
  lameDuckMs: 5_000,
});

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => {
    log.info({ signal }, 'stopping');
    injector.stop().then(
      () => client.close(),
      (error: unknown) => {
        log.error({ err: error }, 'could not stop in good order');
        process.exitCode = 1;
      },
    );
  });
}

/** Both families where there are both; `::` cannot be listened on where the kernel has no IPv6. */
function anyAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return addresses.some(({ family }) => family === 'IPv6') ? '::' : '0.0.0.0';
}
