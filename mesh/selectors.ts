/** Which pods a selector matches, found by one of its labels instead of by walking all pods for each service. */
import type { PodObject } from './objects.ts';

export type PodSelector = (namespace: string, selector: Readonly<Record<string, string>>) => readonly PodObject[];

export function selectPods(pods: readonly PodObject[]): PodSelector {
  const byLabel = new Map<string, PodObject[]>();
  for (const pod of pods) {
    for (const [name, value] of Object.entries(pod.labels)) {
      const key = labelKey(pod.namespace, name, value);
      const list = byLabel.get(key);
      if (list === undefined) byLabel.set(key, [pod]);
      else list.push(pod);
    }
  }
  return (namespace, selector) => {
    const labels = Object.entries(selector);
    // a Service without a selector matches no pod: its endpoints are somebody else's to write
    const lists = labels.map(([name, value]) => byLabel.get(labelKey(namespace, name, value)) ?? []);
    const shortest = lists.reduce<readonly PodObject[] | undefined>(
      (best, list) => (best === undefined || list.length < best.length ? list : best),
      undefined,
    );
    return (shortest ?? []).filter((pod) => labels.every(([name, value]) => pod.labels[name] === value));
  };
}

function labelKey(namespace: string, name: string, value: string): string {
  return `${namespace}/${name}=${value}`;
}
