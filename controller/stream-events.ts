import type { Logger } from 'pino';
import { SHORT_NAME } from '#xds/cache/types.ts';
import type { AdsEvents } from '#xds/server/ads.ts';
import { createBudget } from '#xds/server/budget.ts';
import type { Nack, ProxyStream } from '#xds/server/stream.ts';
import type { Distribution } from './distribution.ts';
import type { Metrics } from './metrics.ts';

/** Whoever reaches the port can be refused: more lines than this say nothing more. The next one says how many there were. */
const REFUSALS_LOGGED_PER_SECOND = 20;

/** What is logged, counted and told of the streams. Refusals and NACKs are one line each, with the key or Envoy's own words. */
export function streamEvents(to: {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly distribution: Pick<Distribution, 'acked' | 'nacked'>;
  /** Tells people of a NACK. */
  readonly tell: (sidecar: ProxyStream['proxy'], nack: Nack) => void;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}): Required<AdsEvents> {
  const { log, metrics, distribution } = to;
  const asked = new WeakSet<ProxyStream>();
  const lines = createBudget(REFUSALS_LOGGED_PER_SECOND, to.now);
  let unlogged = 0;
  const whose = ({ proxy }: ProxyStream): object => ({
    pod: `${proxy.namespace}/${proxy.pod}`,
    account: proxy.account,
  });
  return {
    opened(stream) {
      metrics.connected.inc();
      log.debug(whose(stream), 'sidecar connected');
    },
    closed(stream, reason) {
      metrics.connected.dec();
      log.debug({ ...whose(stream), reason }, 'sidecar disconnected');
    },
    refused({ key, message }, { address, nodeId }) {
      metrics.refused.inc({ key });
      if (key === 'too-many-connections') metrics.tooMany.inc();
      if (!lines.take()) {
        unlogged += 1; // counted by the metric, each of them
        return;
      }
      log.warn({ key, peer: address, node: nodeId, ...(unlogged > 0 && { unlogged }) }, `sidecar refused: ${message}`);
      unlogged = 0;
    },
    secretsDenied(stream, names) {
      metrics.refused.inc({ key: 'secret-denied' });
      if (asked.has(stream)) return; // whoever asks again and again must not fill the log
      asked.add(stream);
      const some = names.slice(0, 3).map((name) => name.slice(0, 200));
      const message = 'sidecar refused: it asked for secrets that are not its own, and is answered that there are none';
      log.warn({ key: 'secret-denied', ...whose(stream), names: some, count: names.length }, message);
    },
    expelled(stream, { key, message }) {
      log.info({ key, ...whose(stream) }, `stream closed: ${message}`);
    },
    sent(_, type, bytes) {
      metrics.pushes.inc({ type });
      metrics.pushedBytes.inc({ type }, bytes);
    },
    acked(stream, type) {
      metrics.acks.inc({ type: SHORT_NAME[type] });
      distribution.acked(stream);
    },
    nacked(stream, nack) {
      const type = SHORT_NAME[nack.type];
      metrics.nacks.inc({ type });
      log.error(
        { key: 'nack', ...whose(stream), type, resources: nack.culprits.map(({ name }) => name), envoy: nack.error },
        'Envoy refused configuration; the sidecar keeps the last good one, and new ones get it too',
      );
      to.tell(stream.proxy, nack);
      distribution.nacked(stream, nack);
    },
  };
}
