/** A server's certificate on a real file system: what is handed out, and what is not. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  describePair,
  type KeyPair,
  type KeyPairWatch,
  readKeyPair,
  watchKeyPair,
} from '#certificates/serving-certificate.ts';
import { eventually } from '#test/support/eventually.ts';
import { writePair } from './webhook-process.ts';

describe('serving certificate', () => {
  let directory: string;
  let watch: KeyPairWatch | undefined;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'osm-serving-'));
    await writePair(directory, '127.0.0.1');
  });
  afterEach(async () => {
    watch?.stop();
    await rm(directory, { recursive: true });
  });

  it('hands out a renewed pair once, and keeps the old one while certificate and key do not belong together', async () => {
    const first = await readKeyPair(directory);
    const changed: KeyPair[] = [];
    const failed: unknown[] = [];
    watch = watchKeyPair(directory, first, {
      changed: (pair) => changed.push(pair),
      failed: (error) => failed.push(error),
    });
    const other = await mkdtemp(join(tmpdir(), 'osm-serving-'));
    await writePair(other, '127.0.0.1');
    const [cert, key] = await Promise.all([readFile(join(other, 'tls.crt')), readFile(join(other, 'tls.key'))]);
    await rm(other, { recursive: true });

    await writeFile(join(directory, 'tls.crt'), cert);
    await eventually('the half-written pair is refused', async () => failed.length > 0);
    assert.match(String(failed[0]), /tls\.key does not belong to tls\.crt/);
    assert.equal(changed.length, 0);

    await writeFile(join(directory, 'tls.key'), key);
    const pair = await eventually('the whole pair is handed out', async () => changed.at(0));
    assert.ok(pair.cert.equals(cert) && pair.key.equals(key));
    assert.equal(changed.length, 1);
    assert.notEqual(describePair(pair).serial, describePair(first).serial);
  });

  it('says which file is missing', async () => {
    await rm(join(directory, 'tls.key'));
    await assert.rejects(readKeyPair(directory), /tls\.key/);
  });
});
