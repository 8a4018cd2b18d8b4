// Runs a TypeScript entry of this repository on the Node that the lockfile names, installing the lockfile's packages
// first when they are missing or stale. It is plain JavaScript for Node 20, because it runs before Node 24 is there.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const [entry, ...args] = process.argv.slice(2);
if (entry === undefined) {
  console.error('usage: node scripts/bootstrap.mjs ENTRY.ts [ARG ...]');
  process.exit(2);
}

/** Ends a set-up that failed. A test run ends with its line of counts, then too: CI reads it. */
function fail(message) {
  console.error(`[setup] ${message}`);
  if (entry === 'test/run.ts') console.log('0 passed, 1 failed');
  process.exit(1);
}

/** Installs the locked packages when node_modules was not made from this package-lock.json. */
function ensurePackages() {
  const stamp = join(root, 'node_modules', '.osm-lock');
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return;
  console.error('[setup] installing the packages of package-lock.json (npm ci)');
  const npm = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  });
  if (npm.status !== 0) {
    fail(
      npm.error === undefined
        ? `npm ci failed with exit code ${npm.status}: see its output above, then run this again`
        : `npm could not be started (${npm.error.message}): install npm, then run this again`,
    );
  }
  writeFileSync(stamp, lock);
}

/** The Node binary that the lockfile pins for this platform. */
function pinnedNode() {
  const path = join(root, 'node_modules', `node-linux-${process.arch === 'arm64' ? 'arm64' : 'x64'}`, 'bin', 'node');
  if (!existsSync(path)) fail(`${path} is missing: this project's tools run on Linux x64 or arm64 only`);
  return path;
}

ensurePackages();
const node = pinnedNode();
const child = spawn(node, [join(root, entry), ...args], {
  stdio: 'inherit',
  // The pinned Node comes first on PATH, so that whatever the entry starts runs on it too.
  env: { ...process.env, PATH: `${dirname(node)}:${join(root, 'node_modules', '.bin')}:${process.env.PATH}` },
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => process.exit(signal === null ? code : 1));
