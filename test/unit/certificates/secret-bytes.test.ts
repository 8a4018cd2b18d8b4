/** Whatever prints, logs or copies what holds a private key shows none of it. */
import assert from 'node:assert/strict';
import { format, inspect } from 'node:util';
import pino from 'pino';
import { createAuthority } from '#certificates/ca.ts';
import { SecretBytes } from '#certificates/secret-bytes.ts';
import { translateSecrets } from '#xds/translate/translate.ts';

/** Everything that a careless line of code could make of a value. */
function printed(value: object): string {
  const logged: string[] = [];
  const log = pino({ level: 'trace' }, { write: (line: string) => void logged.push(line) });
  const error = Object.assign(new Error('failed'), { value });
  log.trace({ value, nested: [{ value }], err: error }, 'with %o and %j and %s', value, value, value);
  log.error(error);
  log.child({ value }).info(value);
  return [
    JSON.stringify({ value }),
    JSON.stringify(Object.entries(value)),
    JSON.stringify({ ...value }),
    JSON.stringify(structuredClone(value)),
    inspect({ value }, { depth: 9, showHidden: true, getters: false }),
    inspect(error, { depth: 9, showHidden: true }),
    format('%s %o %O %j', value, value, value, value),
    ...logged,
  ].join('\n');
}

/** PEM's frame; the key's own lines, as text, as numbers and in hex; the whole once more in base64, as Secrets have it. */
function assertNoKey(text: string, pem: string): void {
  const lines = pem.split('\n').filter((line) => line !== '' && !line.startsWith('-----'));
  for (const needle of ['PRIVATE KEY', ...lines, Buffer.from(pem).toString('base64').slice(0, 40)]) {
    assert.ok(!text.includes(needle), needle);
  }
  const line = Buffer.from(lines[0]!).subarray(0, 20);
  const withoutIndexes = text.replaceAll(/"\d+":/g, '').replaceAll(/\s+/g, '');
  assert.ok(!withoutIndexes.includes([...line].join()), 'the bytes as numbers');
  assert.ok(!withoutIndexes.toLowerCase().includes(line.toString('hex')), 'the bytes in hex');
}

describe('a private key', () => {
  it('shows itself to nobody who does not ask for it by name', async () => {
    const { privateKey } = await createAuthority({ now: Date.parse('2026-01-01T00:00:00Z') });
    const text = printed(privateKey);
    assertNoKey(text, privateKey.revealText());
    assert.equal(JSON.stringify({ privateKey }), '{"privateKey":"[redacted]"}');
    assert.deepEqual(
      [String(privateKey), [privateKey].join(), privateKey[Symbol.toPrimitive]()],
      Array(3).fill('[redacted]'),
    );
    assert.match(text, /\[redacted\]/);
    assert.match(privateKey.revealText(), /^-----BEGIN PRIVATE KEY-----\n/);
  });

  it('shows itself neither as the secret that a sidecar is given, whose bytes hold it', async () => {
    const { certificatePem, privateKey } = await createAuthority({ now: Date.parse('2026-01-01T00:00:00Z') });
    const workload = { certificateChain: certificatePem, privateKey: () => privateKey.revealText() };
    const [secret] = translateSecrets({ workload, roots: { 'cluster.local': certificatePem } });
    assert.ok(secret !== undefined && Buffer.from(secret.bytes).includes(privateKey.revealText()));
    const text = printed({ secret, held: new Map([[secret.name, secret]]) });
    assertNoKey(text, privateKey.revealText());
    assertNoKey(inspect(workload, { showHidden: true }) + JSON.stringify(workload), privateKey.revealText());
    assert.ok(text.includes(secret.hash), 'what it is, is shown');
  });

  it('would be found by this test', () => {
    const pem =
      '-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg\n-----END PRIVATE KEY-----\n';
    const holders = [
      { pem },
      { bytes: Buffer.from(pem) },
      { bytes: new Uint8Array(Buffer.from(pem)) },
      new Map([['pem', pem]]),
    ];
    for (const holder of holders) assert.throws(() => assertNoKey(printed(holder), pem), inspect(holder));
    assertNoKey(printed(new SecretBytes(pem)), pem);
  });
});
