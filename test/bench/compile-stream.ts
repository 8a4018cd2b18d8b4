/** Sidecars in memory for the compile benchmark: real streams of our server, whose client accepts all at once. */
import type { Distribution } from '#controller/distribution.ts';
import type { PodObject } from '#mesh/objects.ts';
import { CLUSTER, ENDPOINTS, LISTENER, SECRET } from '#xds/cache/types.ts';
import type { DeltaRequest, DeltaResponse } from '#xds/server/messages.ts';
import { ProxyStream } from '#xds/server/stream.ts';
import { encodeResponse } from '#xds/server/wire.ts';

/** Connects the sidecar of a pod. `onBytes` is called when a response would be put on the wire, encoded. */
export function connect(distribution: Distribution, of: PodObject, onBytes: (bytes: number) => void): ProxyStream {
  const { namespace, name, uid, account } = of;
  const proxy = { namespace, pod: name, podUid: uid, account, accountUid: account };
  const asked = new Set<string>();
  const answer = ({ type, nonce, resources }: DeltaResponse): void => {
    stream.receive(request(type, { nonce }));
    const wanted = type === CLUSTER ? resources.flatMap(({ endpoints }) => endpoints ?? []) : [];
    const fresh = wanted.filter((each) => !asked.has(each));
    for (const each of fresh) asked.add(each);
    if (fresh.length > 0) stream.receive(request(ENDPOINTS, { subscribe: fresh }));
    distribution.acked(stream);
  };
  const stream = new ProxyStream(proxy, new Set(), {
    now: () => 0,
    acked: () => undefined,
    nacked: (nack) => {
      throw new Error(nack.error);
    },
    write(response) {
      onBytes(encodeResponse(response).length);
      setImmediate(answer, response);
      return true;
    },
  });
  distribution.connect(stream, (snapshot) => stream.update(snapshot));
  for (const type of [CLUSTER, LISTENER]) stream.receive(request(type));
  stream.receive(request(SECRET, { subscribe: ['workload', 'roots'] }));
  return stream;
}

function request(type: string, more: Partial<DeltaRequest> = {}): DeltaRequest {
  return {
    type,
    nodeId: undefined,
    subscribe: [],
    unsubscribe: [],
    initialVersions: new Map(),
    nonce: '',
    error: undefined,
    ...more,
  };
}
