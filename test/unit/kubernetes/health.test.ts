import assert from 'node:assert/strict';
import { Counter, Registry } from 'prom-client';
import { type HealthServer, startHealthServer } from '#kubernetes/health.ts';

describe('the health server', () => {
  let server: HealthServer;
  let unready: string[] = [];
  let dead: string[] = [];
  const registry = new Registry();
  new Counter({ name: 'osm_test_total', help: 'h', registers: [registry] }).inc(3);

  before(async () => {
    server = await startHealthServer({
      port: 0,
      host: '127.0.0.1',
      unready: () => unready,
      dead: () => dead,
      version: { version: '2.0.0' },
      metrics: registry,
    });
  });
  after(() => server.close());

  const get = async (path: string, method = 'GET'): Promise<{ status: number; body: string; type: string | null }> => {
    const response = await fetch(`http://127.0.0.1:${server.port}${path}`, { method });
    return { status: response.status, body: await response.text(), type: response.headers.get('content-type') };
  };

  it('is ready when nothing stands in the way, and says what does', async () => {
    unready = ['stores are not synced: Pod', 'CA is not loaded'];
    assert.deepEqual(await get('/health/ready'), {
      status: 503,
      body: 'stores are not synced: Pod\nCA is not loaded\n',
      type: 'text/plain; charset=utf-8',
    });
    unready = [];
    assert.equal((await get('/health/ready?verbose')).status, 200);
  });

  it('is alive, ready or not, until only a restart would help', async () => {
    unready = ['not yet'];
    assert.equal((await get('/health/alive')).status, 200);
    dead = ['event loop stuck'];
    assert.equal((await get('/health/alive')).status, 503);
    dead = [];
  });

  it('answers version, metrics, and nothing else', async () => {
    assert.equal((await get('/version')).body, '{"version":"2.0.0"}');
    const metrics = await get('/metrics');
    assert.match(metrics.body, /^osm_test_total 3$/m);
    assert.equal(metrics.type, registry.contentType);
    assert.equal((await get('/')).status, 404);
    assert.equal((await get('/metrics', 'POST')).status, 405);
    assert.deepEqual((await get('/version', 'HEAD')).body, '');
  });

  it('does not start on a port that is taken', async () => {
    await assert.rejects(
      startHealthServer({ port: server.port, host: '127.0.0.1', unready: () => [], version: {}, metrics: registry }),
      /EADDRINUSE/,
    );
  });
});
