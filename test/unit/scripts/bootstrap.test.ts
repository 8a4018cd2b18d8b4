import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const SOURCE = new URL('../../../scripts/bootstrap.mjs', import.meta.url).pathname;

/** Runs the bootstrap in a checkout whose packages cannot be installed. */
function withBrokenSetup(entry: string): { stdout: string; stderr: string; status: number | null } {
  const root = mkdtempSync(join(tmpdir(), 'osm-bootstrap-'));
  try {
    mkdirSync(join(root, 'scripts'));
    mkdirSync(join(root, 'bin'));
    writeFileSync(join(root, 'package-lock.json'), '{}');
    writeFileSync(join(root, 'bin', 'npm'), '#!/bin/sh\necho no registry >&2\nexit 7\n', { mode: 0o755 });
    copyFileSync(SOURCE, join(root, 'scripts', 'bootstrap.mjs'));
    return spawnSync(process.execPath, [join(root, 'scripts', 'bootstrap.mjs'), entry], {
      env: { ...process.env, PATH: `${join(root, 'bin')}:${process.env['PATH']}` },
      encoding: 'utf8',
    });
  } finally {
    rmSync(root, { recursive: true });
  }
}

describe('scripts: bootstrap', () => {
  it('ends a test run whose set-up failed with its line of counts', () => {
    const { stdout, stderr, status } = withBrokenSetup('test/run.ts');
    assert.equal(stdout, '0 passed, 1 failed\n');
    assert.match(stderr, /no registry\n\[setup\] npm ci failed with exit code 7/u);
    assert.equal(status, 1);
  });

  it('says of another command only why it failed', () => {
    const { stdout, status } = withBrokenSetup('demo/run.ts');
    assert.equal(stdout, '');
    assert.equal(status, 1);
  });
});
