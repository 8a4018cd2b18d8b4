/** A controller for tests: the real ADS server over a snapshot that the test sets, and what happened on its streams. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '#test/support/eventually.ts';
import { buildSnapshot, type ProxySnapshot } from '#xds/cache/snapshot.ts';
import { SHORT_NAME } from '#xds/cache/types.ts';
import type { Resource } from '#xds/resource.ts';
import { type AdsServer, createAdsServer } from '#xds/server/ads.ts';
import { createAuthenticator } from '#xds/server/auth.ts';
import { type IdentityProvider, identityProvider } from '#xds/server/identity-provider.ts';
import type { Nack, ProxyStream } from '#xds/server/stream.ts';
import { createTokenVerifier, type TokenClaims } from '#xds/server/token.ts';
import { ISSUER, type SidecarFiles, type tokenSigner } from './xds-support.ts';

/** The one pod that this controller knows. */
export const CLAIMS: TokenClaims = {
  namespace: 'shop',
  pod: 'web-1',
  podUid: 'uid-1',
  account: 'web',
  accountUid: 'sa-1',
};
export const NODE = 'shop/web-1/uid-1';
export const FAST = { deadlineMs: 10_000, everyMs: 10 };

export class TestController {
  readonly sent: { type: string; bytes: number }[] = [];
  /** For each response that was acknowledged: the time since it was written to the wire, by the server's own clock. */
  readonly acks: { type: string; ms: number }[] = [];
  readonly nacks: Nack[] = [];
  readonly refusals: { key: string; nodeId: string | undefined }[] = [];
  readonly closed: string[] = [];
  readonly server: AdsServer;
  readonly identity: IdentityProvider;
  readonly #listeners = new Map<ProxyStream, (snapshot: ProxySnapshot) => void>();
  readonly #writtenAt = new Map<string, number>();
  #snapshot: ProxySnapshot;
  port = 0;

  constructor(files: SidecarFiles, signer: Awaited<ReturnType<typeof tokenSigner>>, first: ProxySnapshot, max = 0) {
    this.#snapshot = first;
    this.identity = identityProvider({
      cert: readFileSync(join(files.tlsDirectory, 'tls.crt')),
      key: readFileSync(join(files.tlsDirectory, 'tls.key')),
    });
    const verifier = createTokenVerifier({
      audience: 'osm',
      fetchKeys: async () => ({ issuer: ISSUER, keys: signer.keys }),
      review: async () => undefined,
      now: Date.now,
    });
    const directory = {
      pod: async (_: string, name: string) =>
        name === 'web-1' ? { uid: 'uid-1', account: 'shop/web' as const } : undefined,
      accountUid: async () => 'sa-1',
    };
    this.server = createAdsServer({
      authenticator: createAuthenticator({ verifier, directory }),
      certificate: this.identity.provider,
      secretNames: ['workload', 'roots'],
      maxStreams: () => max,
      source: {
        connect: (stream, onSnapshot) => {
          this.#listeners.set(stream, onSnapshot);
          onSnapshot(this.#snapshot);
          return { close: () => this.#listeners.delete(stream) };
        },
      },
      events: {
        sent: (_, type, bytes) => {
          this.sent.push({ type, bytes });
          this.#writtenAt.set(type, performance.now());
        },
        // One response of a type is in flight at a time, so the last one that was written is the one acknowledged.
        acked: (_, type) => {
          const short = SHORT_NAME[type];
          this.acks.push({ type: short, ms: performance.now() - (this.#writtenAt.get(short) ?? Number.NaN) });
        },
        nacked: (_, nack) => this.nacks.push(nack),
        refused: ({ key }, { nodeId }) => this.refusals.push({ key, nodeId }),
        closed: (_, reason) => this.closed.push(reason),
      },
    });
  }

  async listen(port = 0): Promise<void> {
    this.port = await this.server.listen(`127.0.0.1:${port}`);
  }

  set(resources: readonly Resource[]): void {
    this.#snapshot = buildSnapshot(resources, this.#snapshot);
    for (const tell of this.#listeners.values()) tell(this.#snapshot);
  }

  get settled(): boolean {
    const streams = [...this.server.streams()];
    return streams.length > 0 && streams.every((stream) => stream.settled());
  }

  /** Milliseconds until Envoy has acknowledged everything. */
  async converge(what: string): Promise<number> {
    const started = performance.now();
    await eventually(what, async () => this.settled, {
      ...FAST,
      state: async () =>
        JSON.stringify(
          [...this.server.streams()].map((stream) => stream.status()),
          undefined,
          1,
        ),
    });
    return performance.now() - started;
  }
}
