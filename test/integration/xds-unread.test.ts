/** Whoever has not shown a good token is not listened to: what he sends costs a controller no memory and no time. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { type ClientHttp2Session, connect } from 'node:http2';
import { join } from 'node:path';
import { eventually } from '#test/support/eventually.ts';
import { type AdsServer, createAdsServer } from '#xds/server/ads.ts';
import type { Authenticator } from '#xds/server/auth.ts';
import { identityProvider } from '#xds/server/identity-provider.ts';
import { FAST } from './xds-controller-support.ts';
import { type SidecarFiles, sidecarFiles } from './xds-support.ts';

const METHOD = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources';
/** As large as the server takes a message. */
const MESSAGE_BYTES = 15 * 1024 * 1024;
/** Of the server's flow-control window and the buffers of two sockets. */
const UNREAD_BYTES = 8 * 1024 * 1024;

describe('xds before authentication', () => {
  let files: SidecarFiles;
  let server: AdsServer;
  let session: ClientHttp2Session | undefined;
  /** What the authenticator was asked, and how it hears the rest. */
  let asked: Parameters<Authenticator['authenticate']>[] = [];

  before(async () => {
    files = await sidecarFiles();
  });
  afterEach(() => {
    session?.destroy();
    server.close();
  });
  after(() => files.remove());

  /** Sends one large message on a stream; returns how much of it has left. */
  async function send(): Promise<() => number> {
    asked = [];
    server = createAdsServer({
      authenticator: {
        authenticate: (...question) => {
          asked.push(question);
          return new Promise(() => undefined);
        },
      },
      certificate: identityProvider({
        cert: readFileSync(join(files.tlsDirectory, 'tls.crt')),
        key: readFileSync(join(files.tlsDirectory, 'tls.key')),
      }).provider,
      secretNames: [],
      source: { connect: () => ({ close: () => undefined }) },
    });
    const port = await server.listen('127.0.0.1:0');
    session = connect(`https://127.0.0.1:${port}`, {
      ca: files.authority.rootsPem,
      servername: 'osm-controller.osm-system.svc',
    });
    const stream = session.request({
      ':method': 'POST',
      ':path': METHOD,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    stream.on('error', () => undefined);
    const head = Buffer.alloc(5);
    head.writeUInt32BE(MESSAGE_BYTES, 1);
    stream.write(Buffer.concat([head, Buffer.alloc(MESSAGE_BYTES)]));
    await eventually('the question who that is', async () => asked.length > 0, FAST);
    return () => session?.socket.bytesWritten ?? 0;
  }

  it('reads no message of a client whose token is not known to be good', async () => {
    const left = await send();
    let before = -1;
    await eventually(
      'the client can send no more',
      async () => {
        const now = left();
        const stands = now === before && now > 0;
        before = now;
        return stands;
      },
      { deadlineMs: 10_000, everyMs: 500 },
    );
    assert.ok(before < UNREAD_BYTES, `${before} bytes were taken`);
  });

  it('reads it when the token is good', async () => {
    const left = await send();
    void asked[0]?.[1]();
    await eventually('the whole message is taken', async () => left() > MESSAGE_BYTES, FAST);
  });
});
