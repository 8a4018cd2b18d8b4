/**
 * The controller as a process of its own, on loopback and free ports. Its parent forks it with KUBECONFIG and the
 * controller's environment; it says its ports once, and answers `gc` with what it still uses after a
 * collection.
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
  // What TLS and HTTP/2 hold is given back by finalizers, which run after a first collection.
  globalThis.gc?.();
  setTimeout(() => {
    globalThis.gc?.();
    const { heapUsed, external } = process.memoryUsage();
    process.send?.({ usedKb: (heapUsed + external) / 1024 });
  }, 300);
});
process.on('disconnect', () => process.exit(0));
process.send?.({ xdsPort: controller.xdsPort, healthPort: controller.healthPort });
