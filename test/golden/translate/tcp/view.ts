import { assignment, cluster, inboundView, outboundView } from '#test/support/views.ts';
import type { InboundChain } from '#mesh/view.ts';

const mysql: InboundChain = {
  key: 'mysql',
  name: 'shop/mysql.3306',
  targetPort: 3306,
  sni: 'mysql.shop.svc.cluster.local',
  protocol: 'tcp-server-first',
  policy: { kind: 'tcp', allowed: { kind: 'accounts', accounts: ['shop/bookwarehouse'] } },
};

/** TCP: one service by one cluster, one split, one denied; chains for one account, for all, and for nobody. */
export const view = {
  outbound: outboundView({
    tcpServices: [
      {
        key: 'mysql',
        name: 'shop/mysql:3306',
        port: 3306,
        addresses: ['10.0.0.9'],
        backends: [{ cluster: 'shop/mysql|3306|0', weight: 1 }],
      },
      {
        key: 'queue',
        name: 'shop/queue:5672',
        port: 5672,
        addresses: ['10.0.0.8'],
        backends: [
          { cluster: 'shop/queue-a|5672|0', weight: 3 },
          { cluster: 'shop/queue-b|5672|0', weight: 1 },
        ],
      },
    ],
    closedTcp: [{ reason: 'not-allowed', port: 3306, addresses: ['10.0.0.7'] }],
    clusters: [
      cluster('mysql', 3306, { protocol: 'tcp-server-first' }),
      cluster('queue-a', 5672, { protocol: 'tcp' }),
      cluster('queue-b', 5672, { protocol: 'tcp' }),
    ],
  }),
  inbound: inboundView({
    chains: [
      mysql,
      {
        ...mysql,
        key: 'n',
        name: 'shop/nobody.3306',
        sni: 'nobody',
        policy: { kind: 'tcp', allowed: { kind: 'accounts', accounts: [] } },
      },
      {
        ...mysql,
        key: 'o',
        name: 'shop/open.3307',
        targetPort: 3307,
        policy: { kind: 'tcp', allowed: { kind: 'any-mesh-identity' } },
      },
    ],
  }),
};

export const endpoints = [assignment('shop/mysql|3306|0', ['10.1.0.9', 3306])];
