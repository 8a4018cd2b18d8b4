/**
 * The controller as a process of its own, on loopback and free ports. Its parent forks it with KUBECONFIG and the
 * controller's environment; it says its port once, and answers `gc` when it has collected its garbage.
 */
import pino from 'pino';
import { startController } from '#controller/controller.ts';
import { readEnvironment } from '#controller/environment.ts';
import { createClient } from '#kubernetes/client.ts';

const controller = await startController({
  client: createClient({ kubeconfig: process.env['KUBECONFIG'] ?? '' }),
  environment: readEnvironment(process.env, ''),
  log: pino({ level: 'warn' }, pino.destination(2)),
  version: 'bench',
  host: '127.0.0.1',
  xdsPort: 0,
  apiPort: 0,
  healthPort: 0,
  drainMs: 0,
});

process.on('message', (message) => {
  if (message !== 'gc') return;
  globalThis.gc?.();
  process.send?.('collected');
});
process.on('disconnect', () => process.exit(0));
process.send?.({ xdsPort: controller.xdsPort, healthPort: controller.healthPort });
