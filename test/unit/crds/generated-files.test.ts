import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compareGenerated, type Generator } from '../../../scripts/generated-files.ts';

describe('generated files', () => {
  let root: string;
  const pages: Generator = {
    what: 'pages',
    files: () => [
      { path: 'pages/a.md', text: 'A\n' },
      { path: 'pages/b.md', text: 'B\n' },
    ],
    owns: [{ folder: 'pages', ending: '.md' }],
  };

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'osm-generated-'));
    mkdirSync(join(root, 'pages'));
    writeFileSync(join(root, 'pages/a.md'), 'edited by hand\n');
    writeFileSync(join(root, 'pages/old.md'), 'of a kind that is gone\n');
    writeFileSync(join(root, 'pages/note.txt'), 'not ours\n');
  });
  afterEach(() => rmSync(root, { recursive: true }));

  const expected = [
    { path: 'pages/a.md', problem: 'differs' },
    { path: 'pages/b.md', problem: 'missing' },
    { path: 'pages/old.md', problem: 'not generated any more' },
  ];

  it('are compared without a change', async () => {
    assert.deepEqual((await compareGenerated(root, [pages], false)).differences, expected);
    assert.equal(readFileSync(join(root, 'pages/a.md'), 'utf8'), 'edited by hand\n');
    assert.deepEqual(readdirSync(join(root, 'pages')).toSorted(), ['a.md', 'note.txt', 'old.md']);
  });

  it('are written, and removed when nothing makes them any more', async () => {
    assert.deepEqual((await compareGenerated(root, [pages], true)).differences, expected);
    assert.deepEqual(readdirSync(join(root, 'pages')).toSorted(), ['a.md', 'b.md', 'note.txt']);
    assert.deepEqual((await compareGenerated(root, [pages], false)).differences, []);
  });

  it('are still made by the others when one generator fails', async () => {
    const broken: Generator = {
      what: 'broken',
      files: () => {
        throw new Error('no such field');
      },
      owns: [{ folder: 'pages', ending: '.txt' }],
    };
    const outcome = await compareGenerated(root, [broken, pages], true);
    assert.deepEqual(outcome.failures, ['broken: no such field']);
    assert.equal(readFileSync(join(root, 'pages/b.md'), 'utf8'), 'B\n');
    assert.ok(readdirSync(join(root, 'pages')).includes('note.txt'), 'what a failed generator owns is left alone');
  });
});
