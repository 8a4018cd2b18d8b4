/** The text that controllers and the operator read of each other. */
import assert from 'node:assert/strict';
import { type ReplicaReport, readReport, writeReport } from '#certificates/replica-report.ts';

const report: ReplicaReport = {
  given: ['aa', 'bb'],
  acknowledged: ['aa'],
  signing: 'aa',
  needed: ['aa'],
  signer: 'uid-former',
  trustDomains: {
    'cluster.local': { acknowledged: ['aa'], needed: ['aa'] },
    'moved.example': { acknowledged: [], needed: [] },
  },
  sidecars: 2,
  behind: 1,
  behindNamed: ['shop/web-1'],
};

describe('certificates/replica-report', () => {
  it('reads what it writes, and writes one text whatever the order', () => {
    assert.deepEqual(readReport(writeReport(report)), report);
    const troubles = [{ key: 'ca-secret-missing', message: 'no Secret' }];
    assert.deepEqual(readReport(writeReport({ ...report, troubles }))?.troubles, troubles);
    const { trustDomains } = report;
    const turned = {
      ...report,
      given: ['bb', 'aa'],
      trustDomains: Object.fromEntries(Object.entries(trustDomains).toReversed()),
    };
    assert.equal(writeReport(turned), writeReport(report));
  });

  it('is the shape that the operator reads', () => {
    const { given, acknowledged, signing, needed } = JSON.parse(writeReport(report)) as Record<string, unknown>;
    assert.deepEqual([given, acknowledged, signing, needed], [['aa', 'bb'], ['aa'], 'aa', ['aa']]);
  });

  it('takes a report without what was added later, and nothing that is none', () => {
    const least = readReport('{"given":["aa"],"acknowledged":[],"signing":"","needed":[],"sidecars":1,"later":true}');
    assert.deepEqual([least?.given, least?.sidecars, least?.behind, least?.trustDomains], [['aa'], 1, 0, {}]);
    const others = [undefined, '', 'null', '[]', '{}', '{"given":["aa"],"acknowledged":[1],"signing":"","needed":[]}'];
    for (const text of others) assert.equal(readReport(text), undefined, String(text));
  });
});
