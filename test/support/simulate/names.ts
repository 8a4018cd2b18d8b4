/** What an application's resolver and HTTP library do before the sidecar sees anything: a URL becomes a call. */
import type { MeshObjects, PodObject } from '#mesh/objects.ts';
import type { SimulatedCall } from './simulate.ts';

export interface UrlCall {
  readonly method?: string;
  /** Instead of the URL's host and port. */
  readonly host?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Which of the addresses that the name has; the first by default. */
  readonly address?: string;
}

/** `http://name[:port]/path` or `tcp://name:port`, as a pod would call it. */
export function callOf(objects: MeshObjects, from: PodObject, url: string, options: UrlCall = {}): SimulatedCall {
  const parsed = /^(http|tcp):\/\/(\[[^\]]+\]|[^:/]+)(?::(\d+))?(\/.*)?$/.exec(url);
  if (parsed === null) throw new Error(`"${url}" is no http:// or tcp:// URL`);
  const [, scheme, host = '', portText, path = '/'] = parsed;
  const port = Number(portText ?? 80);
  const address = options.address ?? resolve(objects, from.namespace, host)[0];
  if (address === undefined) throw new Error(`${host} has no address: what would ${from.name} call?`);
  if (scheme === 'tcp') return { address, port };
  const { method = 'GET', headers = {} } = options;
  const authority = options.host ?? (port === 80 ? host : `${host}:${port}`);
  return { address, port, http: { host: authority, method, path, headers } };
}

/** As the cluster's DNS answers, search path included; an address is itself. */
function resolve(objects: MeshObjects, namespace: string, host: string): readonly string[] {
  const bare = host.replace(/^\[|\]$/g, '').replace(/\.$/, '');
  if (/^[\d.]+$|:/.test(bare)) return [bare];
  for (const suffix of ['', `.${namespace}`]) {
    for (const { name, namespace: home, clusterIPs, headless } of objects.services) {
      const whole = `${name}.${home}.svc.${objects.config.clusterDomain}`;
      const asked = `${bare}${suffix}`;
      const endpoints = objects.endpointSlices
        .filter((slice) => slice.namespace === home && slice.service === name)
        .flatMap((slice) => slice.endpoints);
      if (means(asked, whole)) return headless ? endpoints.flatMap(({ addresses }) => addresses) : clusterIPs;
      const pod = endpoints.filter(({ hostname }) => hostname !== undefined && means(asked, `${hostname}.${whole}`));
      if (pod.length > 0) return pod.flatMap(({ addresses }) => addresses);
    }
  }
  return [];
}

/** `a.b`, `a.b.svc` and so on for `a.b.svc.cluster.local`: a search path completes them. */
function means(asked: string, whole: string): boolean {
  const service = whole.slice(0, whole.indexOf('.svc.'));
  return whole === asked || (asked.startsWith(service) && whole.startsWith(`${asked}.`));
}
