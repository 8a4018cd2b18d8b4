/** What the injector watches, as the pure functions want it. */
import type { Logger } from 'pino';
import { parseMeshConfig } from '#crds/parse.ts';
import type { MeshConfig } from '#crds/types.ts';
import { MeshConfigs, Namespaces } from '#kubernetes/kinds.ts';
import { createReflector } from '#kubernetes/reflector.ts';
import type { KubernetesClient, KubeObject } from '#kubernetes/types.ts';
import { MONITORED_BY } from './inject/names.ts';
import type { Namespace } from './inject/pod.ts';
import { type InjectorDefaults, type MeshInjection, meshInjection } from './inject/settings.ts';
import type { MutationSources } from './mutate.ts';

/** The one MeshConfig of a mesh (design 5). */
const meshConfigName = 'osm-mesh-config';

export interface Sources extends MutationSources {
  /** What is still missing before pods can be reviewed. */
  missing(): string[];
  start(): void;
  stop(): void;
}

export interface SourceOptions {
  readonly client: KubernetesClient;
  readonly defaults: InjectorDefaults;
  readonly log: Logger;
  /** Called with each valid MeshConfig. */
  readonly onMeshConfig: (config: MeshConfig) => void;
}

export function createSources({ client, defaults, log, onMeshConfig }: SourceOptions): Sources {
  let mesh: MeshInjection | undefined;
  const onTransition = ({ kind, name, detail }: { kind: string; name: string; detail: string }) =>
    log.debug({ kind, transition: name, detail }, 'watch');
  const namespaces = createReflector<Namespace>({ client, kind: Namespaces, transform: namespaceOf, onTransition });
  const configs = createReflector<KubeObject>({
    client,
    kind: MeshConfigs,
    list: { namespace: defaults.controlPlaneNamespace },
    transform: (object) => (object.metadata.name === meshConfigName ? object : undefined),
    onTransition,
  });

  configs.store.subscribe((change) => {
    if (change.type === 'deleted') {
      mesh = undefined;
      log.warn('the MeshConfig is gone: pods that are meant to be in the mesh are refused');
      return;
    }
    const parsed = parseMeshConfig(change.object);
    if (!parsed.ok) {
      // The last good settings stay: a typing error must not stop every deployment.
      log.error({ errors: parsed.errors }, 'the MeshConfig is invalid, its former settings stay');
      return;
    }
    mesh = meshInjection(parsed.value.spec, defaults);
    onMeshConfig(parsed.value);
  });

  return {
    mesh: () => mesh,
    async namespace(name) {
      const known = namespaces.store.get(name);
      // The API server asks only about namespaces of the mesh: if ours looks otherwise, it is older than that.
      if (known?.metadata.labels?.[MONITORED_BY] === defaults.meshName) return known;
      const fresh = await withinLimit(client.get(Namespaces, name));
      return fresh && namespaceOf(fresh);
    },
    missing: () => [
      ...(namespaces.isSynced ? [] : ['namespaces']),
      ...(configs.isSynced ? [] : ['MeshConfigs']),
      ...(mesh === undefined ? [`a valid MeshConfig ${meshConfigName}`] : []),
    ],
    start() {
      namespaces.start();
      configs.start();
    },
    stop() {
      namespaces.stop();
      configs.stop();
    },
  };
}

/** The API server gives a webhook 5 s, and then says only that it was late: our own sentence must come before that. */
const lookupLimitMs = 3_000;

async function withinLimit<T>(answer: Promise<T>): Promise<T> {
  const limit = Promise.withResolvers<never>();
  const timer = setTimeout(() => limit.reject(new Error(`no answer within ${lookupLimitMs / 1000} s`)), lookupLimitMs);
  try {
    return await Promise.race([answer, limit.promise]);
  } finally {
    clearTimeout(timer);
  }
}

function namespaceOf({ metadata: { name, labels, annotations } }: KubeObject): Namespace {
  return { metadata: { name, ...(labels && { labels }), ...(annotations && { annotations }) } };
}
