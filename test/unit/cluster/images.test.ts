import { strict as assert } from 'node:assert';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { copiedSources, inputsHash } from '#test/cluster/image-inputs.ts';

describe('what a Dockerfile copies', () => {
  const cases: readonly (readonly [string, string, readonly string[]])[] = [
    ['one file', 'FROM scratch\nCOPY a /a', ['a']],
    ['several files and patterns', 'COPY dist/*.mjs dist/*.map /osm/', ['dist/*.mjs', 'dist/*.map']],
    ['with options', 'COPY --chown=1:1 a b /x/', ['a', 'b']],
    ['over lines', 'COPY a \\\n  b \\\n  /x/', ['a', 'b']],
    ['by ADD, in small letters', 'add a /a', ['a']],
    ['from another stage: nothing of the context', 'COPY --from=build /out/ /', []],
    ['in a comment: nothing', '# COPY a /a\nRUN echo COPY b /b', []],
  ];
  for (const [what, dockerfile, expected] of cases) {
    it(what, () => assert.deepEqual(copiedSources(dockerfile), expected));
  }
});

describe('the hash of what an image is made from', () => {
  let context = '';
  const dockerfile = 'FROM scratch\nCOPY programs/ /programs/\nCOPY *.txt /';
  const hash = (base = 'base'): string => inputsHash(dockerfile, context, base);

  beforeEach(() => {
    context = mkdtempSync(join(tmpdir(), 'osm-inputs-'));
    mkdirSync(join(context, 'programs'));
    writeFileSync(join(context, 'programs', 'one'), '1');
    writeFileSync(join(context, 'a.txt'), 'a');
  });
  afterEach(() => rmSync(context, { recursive: true }));

  it('stays when nothing changes, or only what is not copied', () => {
    const before = hash();
    writeFileSync(join(context, 'other'), 'x');
    assert.equal(hash(), before);
  });

  const changes: readonly (readonly [string, () => void])[] = [
    ['the content of a file in a folder', () => writeFileSync(join(context, 'programs', 'one'), '2')],
    ['the mode of a file', () => chmodSync(join(context, 'programs', 'one'), 0o755)],
    ['a new file in a folder', () => writeFileSync(join(context, 'programs', 'two'), '')],
    ['a new file that a pattern matches', () => writeFileSync(join(context, 'b.txt'), '')],
    ['a file that is gone', () => rmSync(join(context, 'a.txt'))],
  ];
  for (const [what, change] of changes) {
    it(`changes with ${what}`, () => {
      const before = hash();
      change();
      assert.notEqual(hash(), before);
    });
  }

  it('changes with the base', () => assert.notEqual(hash('another'), hash()));
});
