/** The cheapest webhook that there can be: it allows everything and changes nothing. What remains is the API server's own cost of asking. */
import { readFile, mkdtemp, rm } from 'node:fs/promises';
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writePair } from '#test/integration/webhook-process.ts';

export interface IdleWebhook {
  readonly url: string;
  /** PEM. */
  readonly authority: string;
  close(): void;
}

export async function startIdleWebhook(): Promise<IdleWebhook> {
  const directory = await mkdtemp(join(tmpdir(), 'osm-idle-webhook-'));
  const authority = await writePair(directory, '127.0.0.1');
  const key = await readFile(join(directory, 'tls.key'));
  await rm(directory, { recursive: true });
  const server = createServer({ cert: authority, key }, (request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
    request.on('end', () => {
      // The UID stands first in a request, long before anything of the pod.
      const uid = /"uid":"([^"]+)"/.exec(body)?.[1];
      response.setHeader('content-type', 'application/json');
      response.end(
        JSON.stringify({
          apiVersion: 'admission.k8s.io/v1',
          kind: 'AdmissionReview',
          response: { uid, allowed: true },
        }),
      );
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `https://127.0.0.1:${port}/`,
    authority,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
