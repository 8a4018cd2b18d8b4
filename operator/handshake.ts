/** TLS handshakes with what serves under a certificate of the control-plane CA: a pod, or the Service before it. */
import type { X509Certificate } from 'node:crypto';
import { connect } from 'node:tls';
import { controllerName, injectorName, ports, servingNames } from '#cdk8s/names.ts';
import type { ComponentName } from './plan/observed.ts';

export const portOf: Readonly<Record<ComponentName, number>> = {
  [injectorName]: ports.webhooks,
  [controllerName]: ports.xds,
};

/** Who does not answer within this is as good as one that answers wrongly. */
const handshakeMs = 2_000;

export interface Target {
  readonly host: string;
  readonly port: number;
  readonly servername: string;
  /** PEM of all that is trusted. */
  readonly ca: string;
}

/** The certificate that a server proved to hold, checked as its clients check it. */
export function handshake(target: Target): Promise<X509Certificate | 'not trusted' | 'no answer'> {
  return new Promise((resolve) => {
    // xDS speaks the one, webhooks the other, and each ends a handshake that does not offer its own.
    const socket = connect({ ...target, ALPNProtocols: ['h2', 'http/1.1'], rejectUnauthorized: false });
    const finish = (answer: X509Certificate | 'not trusted' | 'no answer'): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(handshakeMs, () => finish('no answer'));
    socket.on('error', () => finish('no answer'));
    socket.once('secureConnect', () => {
      const certificate = socket.getPeerX509Certificate();
      finish(socket.authorized && certificate !== undefined ? certificate : 'not trusted');
    });
  });
}

/** Whether the injector answers where the API server calls it: at its Service, which may lag behind the pods that are ready. */
export async function injectorAnswers(namespace: string, rootsPem: string): Promise<boolean> {
  const [host = ''] = servingNames(injectorName, namespace);
  const served = await handshake({ host, port: portOf[injectorName], servername: host, ca: rootsPem });
  return typeof served === 'object';
}
