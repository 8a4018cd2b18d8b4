import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { asked, type CommandUse } from '../../../scripts/flags.ts';

const ROOT = new URL('../../../', import.meta.url).pathname;
const use: CommandUse = { command: 'npm run paint', does: 'Paints it.', flags: { dry: 'paint nothing' } };

describe('scripts: what a command is asked', () => {
  it('is its switches', () => {
    assert.deepEqual(asked([], use), { kind: 'run', flags: new Set() });
    assert.deepEqual(asked(['--dry'], use), { kind: 'run', flags: new Set(['dry']) });
  });

  it('is help, whatever else stands beside it', () => {
    const text =
      'usage: npm run paint [-- --dry | --help]\n\nPaints it.\n\n  --dry   paint nothing\n  --help  show this';
    for (const args of [['--help'], ['-h'], ['--dry', '--help']])
      assert.deepEqual(asked(args, use), { kind: 'help', text });
  });

  for (const args of [['--drry'], ['now'], ['--dry=yes'], ['--', 'now']]) {
    it(`is wrong with ${args.join(' ')}`, () => {
      const result = asked(args, use);
      assert.ok(result.kind === 'wrong');
      assert.match(result.text, /usage: npm run paint/);
    });
  }

  for (const script of ['scripts/build.ts', 'scripts/generate.ts', 'test/golden/update.ts']) {
    const start = (...args: string[]) =>
      spawnSync(process.execPath, [script, ...args], { cwd: ROOT, encoding: 'utf8', timeout: 15_000 });

    it(`${script} helps, and does nothing when it is asked for what it does not know`, () => {
      const help = start('--help');
      assert.deepEqual([help.status, help.stderr], [0, '']);
      assert.match(help.stdout, /^usage: npm run /);
      const wrong = start('--wrong');
      assert.deepEqual([wrong.status, wrong.stdout], [2, '']);
      assert.match(wrong.stderr, /--wrong[\s\S]*usage: npm run /);
    });
  }
});
