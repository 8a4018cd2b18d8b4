/**
 * What sidecars show and accept at this moment, seen by handshakes of our own with the inbound ports of their pods, around every
 * client sidecar: which certificate a new connection gets, and whether a client certificate made by hand is taken.
 */
import type { X509Certificate } from 'node:crypto';
import { setInterval as every } from 'node:timers/promises';
import { connect as tlsConnect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { eventually } from '#test/support/eventually.ts';
import { makeClientCertificate, type Signer } from './certificates.ts';
import { lab } from './lab.ts';

const LOOK_EVERY_MS = 500;
const HANDSHAKE_MS = 5_000;

/** An HTTP port of a meshed pod. */
export interface Peer {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** As the sidecars of its clients send it. */
  readonly serverName: string;
  /** Of the requests that are made by hand; `/` by default. */
  readonly path?: string;
}

/** A certificate as one handshake showed it. */
export interface Sight {
  readonly peer: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly serial: string;
  /** Of the root that signed it, as `roots` calls it; `unknown` for another one. */
  readonly root: string;
  readonly uri: string;
  /** Milliseconds that it is still valid. */
  readonly leftMs: number;
}

export interface PeerWatch {
  /** Every sight so far, oldest first. */
  readonly sights: readonly Sight[];
  /** Handshakes that came to nothing, as `<peer>: <error>`. */
  readonly failures: readonly string[];
  stop(): Promise<void>;
}

/** Looks at each peer twice a second. `roots` are asked anew for each certificate: more may be known later. */
export function watchPeers(peers: readonly Peer[], roots: ReadonlyMap<string, X509Certificate>): PeerWatch {
  const sights: Sight[] = [];
  const failures: string[] = [];
  const ending = new AbortController();

  async function look(peer: Peer): Promise<void> {
    try {
      const certificate = await shownBy(peer);
      const at = Date.now();
      const signer = [...roots].find(([, root]) => certificate.verify(root.publicKey));
      sights.push({
        peer: peer.name,
        at,
        serial: certificate.serialNumber,
        root: signer?.[0] ?? 'unknown',
        uri: /URI:([^,]+)/.exec(certificate.subjectAltName ?? '')?.[1] ?? '',
        leftMs: certificate.validToDate.getTime() - at,
      });
    } catch (error) {
      failures.push(`${peer.name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  async function run(): Promise<void> {
    try {
      for await (const _ of every(LOOK_EVERY_MS, undefined, { signal: ending.signal })) {
        await Promise.all(peers.map(look));
      }
    } catch (error) {
      if (!ending.signal.aborted) throw error;
    }
  }

  const running = run();
  return {
    sights,
    failures,
    async stop() {
      ending.abort();
      await running;
    },
  };
}

/** An account's port 8080, by which its sidecar is known. */
export async function peerOf(namespace: string, name: string): Promise<Peer> {
  const serverName = `${name}.${namespace}.svc.cluster.local`;
  return { name, host: await lab.podIp(namespace, name), port: 8080, serverName };
}

/** Waits until the last sight of each peer is so. */
export async function allShow(
  { sights }: PeerWatch,
  peers: readonly Peer[],
  what: string,
  holds: (sight: Sight) => boolean,
  state: () => Promise<string>,
): Promise<void> {
  const last = ({ name }: Peer): Sight | undefined => sights.findLast(({ peer }) => peer === name);
  const look = async (): Promise<boolean> => peers.map(last).every((sight) => sight !== undefined && holds(sight));
  await eventually(what, look, { state });
}

/** Sights as a line a peer and certificate, for whoever reads a failure. */
export function describeSights(sights: readonly Sight[]): string {
  const lines = new Map<string, string>();
  for (const { peer, at, serial, root, uri, leftMs } of sights) {
    const key = `${peer} ${serial}`;
    const line = `${peer} ${new Date(at).toISOString()} ${serial.slice(0, 8)} by ${root} ${uri} ${Math.round(leftMs / 1000)} s left`;
    if (!lines.has(key)) lines.set(key, line);
  }
  return [...lines.values()].join('\n');
}

/** The certificate that a new connection is shown, whether or not the peer then accepts us. */
async function shownBy(peer: Peer): Promise<X509Certificate> {
  const socket = dial(peer, {});
  try {
    return await new Promise((resolve, reject) => {
      socket.setTimeout(HANDSHAKE_MS, () => reject(new Error('no handshake in time')));
      socket.on('error', reject);
      socket.on('close', () => reject(new Error('closed in the handshake')));
      socket.on('secureConnect', () => {
        const certificate = socket.getPeerX509Certificate();
        if (certificate === undefined) reject(new Error('no certificate'));
        else resolve(certificate);
      });
    });
  } finally {
    socket.destroy();
  }
}

/** What a request brings with a certificate of `account` made by hand: an HTTP status, or the error that ended the connection. */
export async function answerTo(peer: Peer, account: string, by: Signer): Promise<string> {
  const socket = dial(peer, await makeClientCertificate(account, by));
  return new Promise((resolve) => {
    let received = '';
    const finish = (outcome: string): void => {
      resolve(outcome);
      socket.destroy();
    };
    socket.setTimeout(HANDSHAKE_MS, () => finish('no answer in time'));
    socket.on('secureConnect', () => {
      socket.write(
        `GET ${peer.path ?? '/'} HTTP/1.1\r\nhost: ${peer.serverName}:${peer.port}\r\nconnection: close\r\n\r\n`,
      );
    });
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString();
      const status = /^HTTP\/1\.1 (\d+)/.exec(received)?.[1];
      if (status !== undefined) finish(status);
    });
    socket.on('error', (error: Error & { code?: string }) => finish(error.code ?? error.message));
    socket.on('close', () => finish('closed without a byte'));
  });
}

function dial({ host, port, serverName }: Peer, credentials: ConnectionOptions): TLSSocket {
  const ALPNProtocols = ['osm'];
  return tlsConnect({ host, port, servername: serverName, ALPNProtocols, rejectUnauthorized: false, ...credentials });
}
