import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { oneRound } from '../../../demo/apps/customer.ts';

describe('demo: a customer', () => {
  it('buys from both versions when a sidecar sends every other request to each', async () => {
    let requests = 0;
    const server = createServer((_, response) => {
      requests += 1;
      response.setHeader('identity', requests % 2 === 0 ? 'bookstore-v2' : 'bookstore-v1').end('a book');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const counters = { attempts: 0, boughtV1: 0, boughtV2: 0, refused: 0, failed: 0 };
    try {
      const store = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      for (let round = 0; round < 8; round += 1) await oneRound(store, 'bought', counters);
    } finally {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
    assert.deepEqual(counters, { attempts: 8, boughtV1: 4, boughtV2: 4, refused: 0, failed: 0 });
  });
});
