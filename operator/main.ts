/** The operator's process: both replicas watch, one leads and writes. */
import pino from 'pino';
import { leaseName, meshConfigName, ports, version } from '#cdk8s/names.ts';
import { createClient } from '#kubernetes/client.ts';
import { createEventRecorder } from '#kubernetes/events.ts';
import { startHealthServer } from '#kubernetes/health.ts';
import { runLeaderElection } from '#kubernetes/lease.ts';
import { readEnvironment } from './environment.ts';
import { levelOf } from './log-level.ts';
import { eventFor } from './mesh-events.ts';
import { createMetrics } from './metrics.ts';
import { createOperator } from './operator.ts';
import { type Passes, runPasses } from './passes.ts';
import { defaultRootWaits } from './plan/root-rotation.ts';
import { defaultWaits } from './plan/rotation.ts';

const environment = readEnvironment(process.env);
const { namespace, podName } = environment;
const log = pino({ level: environment.logLevel, base: { component: 'osm-operator' } });
const metrics = createMetrics();
const client = createClient({ userAgent: `osm-operator/${version}` });
const events = createEventRecorder({
  client,
  controller: 'openservicemesh.io/osm-operator',
  instance: podName,
  onError: (error) => log.warn({ err: error }, 'an Event was not written'),
});

let leading = false;
let passes: Passes | undefined;

const operator = createOperator({
  client,
  namespace,
  defaults: { image: environment.image, envoyImage: environment.envoyImage },
  waits: environment.waits,
  rootWaits: environment.rootWaits,
  mayWrite: () => leading,
  onTransition(transition) {
    metrics.transition(transition);
    const failed = transition.name.endsWith('failed');
    log[failed ? 'warn' : 'debug']({ kind: transition.kind, transition: transition.name }, transition.detail);
  },
  onChange(step, object) {
    metrics.change(step);
    log.info({ step: step.kind, reason: step.reason, object }, `${step.kind} ${object}`);
  },
  onUnasked: (error) =>
    log.warn({ reason: 'replicas-unasked', err: error }, 'replicas cannot be asked what a rotation waits for'),
  onCondition(meshConfig, condition) {
    const { type, status, reason, message } = condition;
    log.info({ condition: type, status, reason }, message);
    const event = eventFor(meshConfig, condition);
    if (event !== undefined) events.record(event);
  },
});

const health = await startHealthServer({
  port: ports.health,
  unready: () => [
    ...(client.refusal === undefined ? [] : [client.refusal]),
    ...operator.stores.unsynced().map((name) => `waiting for ${name}`),
  ],
  version: { version },
  metrics: metrics.registry,
});
await operator.start();
log.info({ namespace, version }, 'watching');
const { trustMs, retireMs } = environment.waits;
if (trustMs < defaultWaits.trustMs || retireMs < defaultWaits.retireMs) {
  log.warn(
    { reason: 'short-rotation-waits', trustMs, retireMs },
    'the control-plane CA rotates faster than is safe: for tests alone',
  );
}

const { switchMs, retireMs: rootRetireMs } = environment.rootWaits;
if (switchMs < defaultRootWaits.switchMs || rootRetireMs < defaultRootWaits.retireMs) {
  log.warn(
    { reason: 'short-root-waits', switchMs, retireMs: rootRetireMs },
    'the workload root rotates faster than is safe: for tests alone',
  );
}

const followLogLevel = (): void => {
  const object = operator.stores.meshConfigs.store.get(`${namespace}/${meshConfigName}`);
  log.level = levelOf(object) ?? environment.logLevel;
};
operator.stores.meshConfigs.store.subscribe(followLogLevel);
followLogLevel();

const election = runLeaderElection({
  client,
  namespace,
  name: leaseName,
  identity: podName,
  onStarted(signal) {
    log.info({ reason: 'leading' }, 'this replica leads');
    leading = true;
    metrics.leading(true);
    const mine = runPasses(operator, {
      onPass(pass, milliseconds) {
        metrics.pass(pass.plan.reason.key, milliseconds);
        metrics.certificates(pass.observed);
        log.debug({ reason: pass.plan.reason.key, milliseconds }, pass.plan.reason.message);
      },
      onError(error, milliseconds) {
        metrics.pass('error', milliseconds);
        log.warn({ reason: 'pass-failed', err: error }, 'a pass failed and is tried again');
      },
    });
    passes = mine;
    signal.addEventListener('abort', () => {
      leading = false;
      metrics.leading(false);
      void mine.stop();
    });
  },
  onLost: (reason) => log.warn({ reason }, 'this replica leads no more'),
  onError: (error) => log.warn({ err: error }, 'the Lease could not be had'),
});

async function stop(signal: string): Promise<void> {
  log.info({ signal }, 'stopping');
  // The step under way ends before the Lease is given free.
  leading = false;
  await passes?.stop();
  await election.stop();
  operator.stop();
  await events.flush();
  await health.close();
  client.close();
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => {
    stop(signal).then(
      () => process.exit(0),
      (error: unknown) => {
        log.error({ err: error }, 'stopping failed');
        process.exit(1);
      },
    );
  });
}
