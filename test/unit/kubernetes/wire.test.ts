import assert from 'node:assert/strict';
import fc from 'fast-check';
import { backoffMs } from '#kubernetes/backoff.ts';
import { answerError } from '#kubernetes/error.ts';
import * as kinds from '#kubernetes/kinds.ts';
import { createLineSplitter } from '#kubernetes/lines.ts';
import { listPages } from '#kubernetes/list.ts';
import { collectionOf, pathOf } from '#kubernetes/paths.ts';
import type { KubeObject } from '#kubernetes/types.ts';

describe('paths', () => {
  it('follow the API conventions', () => {
    assert.equal(pathOf(kinds.Nodes, { name: 'n' }), '/api/v1/nodes/n');
    assert.equal(pathOf(kinds.Pods), '/api/v1/pods');
    assert.equal(
      pathOf(kinds.Deployments, { namespace: 'a', name: 'b', subresource: 'status' }),
      '/apis/apps/v1/namespaces/a/deployments/b/status',
    );
    assert.equal(
      collectionOf(kinds.Pods, { namespace: 'a', labelSelector: 'x in (y)' }, { watch: true, limit: undefined }),
      '/api/v1/namespaces/a/pods?labelSelector=x+in+%28y%29&watch=true',
    );
  });

  it('do not name an object of a namespaced kind without its namespace', () => {
    assert.throws(() => pathOf(kinds.Pods, { name: 'p' }), /Pod p is namespaced/);
  });

  it('cannot be led astray by a name', () => {
    assert.equal(pathOf(kinds.Nodes, { name: '../secrets?x' }), '/api/v1/nodes/..%2Fsecrets%3Fx');
  });
});

describe('lines', () => {
  it('come out whole however the bytes were cut (any text, any cuts)', () => {
    const lines = fc.array(fc.string({ unit: 'grapheme', minLength: 1 }).filter((line) => !line.includes('\n')));
    fc.assert(
      fc.property(lines, fc.array(fc.nat(50)), (wanted, cuts) => {
        const bytes = Buffer.from(wanted.map((line) => `${line}\n`).join(''));
        const splitter = createLineSplitter();
        const found: string[] = [];
        let at = 0;
        for (const size of [...cuts, bytes.length]) {
          for (const line of splitter.push(bytes.subarray(at, at + size))) found.push(line.toString('utf8'));
          at += size;
        }
        assert.deepEqual(found, wanted);
        assert.equal(splitter.rest, 0);
      }),
    );
  });

  it('tell how much of an unfinished one there is', () => {
    const splitter = createLineSplitter();
    splitter.push(Buffer.from('whole\nha'));
    splitter.push(Buffer.from('lf'));
    assert.equal(splitter.rest, 4);
  });
});

describe('waits after failures', () => {
  it('double from the first to the longest, and are never 0 nor longer (any draw)', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1_000 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (failures, draw) => {
          const wait = backoffMs(failures, { firstMs: 10, longestMs: 1_000, random: () => draw });
          const ceiling = Math.min(1_000, 10 * 2 ** (failures - 1));
          assert.ok(wait >= ceiling / 2 && wait <= ceiling, `${wait}`);
        },
      ),
    );
  });
});

describe('a list that the server forgets half-way', () => {
  it('begins again in one page, and says that what came before is void', async () => {
    const asked: string[] = [];
    const item = (name: string): KubeObject => ({ apiVersion: '', kind: '', metadata: { name } });
    const answers = [
      () => ({ items: [item('old')], metadata: { resourceVersion: '1', continue: 'more' } }),
      () => {
        throw answerError('GET', 410, '{"reason":"Expired"}');
      },
      () => ({ items: [item('new')], metadata: { resourceVersion: '9' } }),
    ];
    const request = <T>(_method: string, path: string): Promise<T> => {
      asked.push(path);
      return new Promise((resolve) => resolve(answers[asked.length - 1]?.() as T));
    };
    const pages = [];
    for await (const page of listPages({ request }, kinds.Nodes)) pages.push(page);
    assert.deepEqual(
      pages.map(({ items, restarted, resourceVersion }) => [
        items[0]?.metadata.name,
        items[0]?.kind,
        restarted,
        resourceVersion,
      ]),
      [
        ['old', 'Node', false, '1'],
        ['new', 'Node', true, '9'],
      ],
    );
    assert.deepEqual(asked, ['/api/v1/nodes?limit=500', '/api/v1/nodes?limit=500&continue=more', '/api/v1/nodes']);
  });
});

describe('an answer that is an error', () => {
  it('speaks in the words of the server, or of whatever stands before it', () => {
    const said = answerError('GET /x', 409, '{"reason":"Conflict","message":"changed meanwhile"}', '3');
    assert.deepEqual([said.status, said.reason, said.retryAfter], [409, 'Conflict', 3]);
    assert.equal(said.message, 'GET /x: 409 changed meanwhile');
    const proxy = answerError('GET /x', 502, '<html>Bad Gateway</html>');
    assert.deepEqual([proxy.reason, proxy.retryAfter], ['Http502', undefined]);
    assert.match(proxy.message, /Bad Gateway/);
  });
});
