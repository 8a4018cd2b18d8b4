/** The part of the mesh that one sidecar may see. Everything in it is shared with every sidecar that sees the same. */
import { buildInbound } from './inbound.ts';
import { memoised, type MeshModel } from './model.ts';
import { buildOutbound } from './outbound.ts';
import type { InboundView, OutboundView, ProxyPod, ProxyView } from './view.ts';

export function viewFor(model: MeshModel, pod: ProxyPod): ProxyView {
  return { outbound: outboundFor(model, pod), inbound: inboundFor(model, pod) };
}

/** Without policies all accounts of a namespace see the same. */
function outboundFor(model: MeshModel, pod: ProxyPod): OutboundView {
  const client = { namespace: pod.namespace, account: pod.account, ipv6: hasIpv6(pod) };
  const who = model.access.kind === 'permissive' ? '*' : client.account;
  return memoised(model.memo.outbound, `${client.namespace}|${who}|${client.ipv6}`, () => buildOutbound(model, client));
}

function inboundFor(model: MeshModel, pod: ProxyPod): InboundView {
  const object = model.pods.get(`${pod.namespace}/${pod.name}`);
  const key = `${pod.namespace}/${pod.name}|${pod.account}|${pod.ips.join(',')}`;
  return memoised(model.memo.inbound, key, () => buildInbound(model, pod, object));
}

function hasIpv6(pod: ProxyPod): boolean {
  return pod.ips.some((address) => address.includes(':'));
}
