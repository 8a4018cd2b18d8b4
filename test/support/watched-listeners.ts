/** Listeners as a file that Envoy watches: what it makes of an update is seen without a controller. */
import assert from 'node:assert/strict';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Resource } from '#xds/resource.ts';
import type { RunningEnvoy } from './envoy.ts';
import { eventually } from './eventually.ts';
import { type StaticOptions, staticListeners } from './static-config.ts';

export interface WatchedListeners {
  /** For `dynamic_resources` of a bootstrap. */
  readonly ldsConfig: object;
  /** Replaces the watched file in one step, as Envoy wants it. Routes are inlined. */
  publish(resources: readonly Resource[], options: StaticOptions): Promise<void>;
  /** The same, and waits until Envoy has taken it. Rejects when Envoy refuses it. */
  update(envoy: RunningEnvoy, resources: readonly Resource[], options: StaticOptions): Promise<void>;
  remove(): Promise<void>;
}

export async function watchedListeners(): Promise<WatchedListeners> {
  const directory = await mkdtemp(join(tmpdir(), 'osm-lds-'));
  const file = join(directory, 'lds.json');

  async function publish(resources: readonly Resource[], options: StaticOptions): Promise<void> {
    const listeners = staticListeners(resources, options).map((it) => ({
      '@type': 'type.googleapis.com/envoy.config.listener.v3.Listener',
      ...it,
    }));
    const fresh = join(directory, 'fresh.json');
    await writeFile(fresh, JSON.stringify({ resources: listeners }));
    await rename(fresh, file);
  }

  return {
    ldsConfig: { path_config_source: { path: file }, resource_api_version: 'V3' },
    publish,
    async update(envoy, resources, options) {
      const before = await envoy.stat('listener_manager.lds.update_success');
      await publish(resources, options);
      await eventually(
        'Envoy takes the new listener',
        async () => (await envoy.stat('listener_manager.lds.update_success')) > before,
        { deadlineMs: 10_000, everyMs: 20, state: () => Promise.resolve(envoy.log()) },
      );
      assert.equal(await envoy.stat('listener_manager.lds.update_rejected'), 0, envoy.log());
    },
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}
