/** Every golden is a configuration that the real Envoy takes, and it would notice one that is not. */
import assert from 'node:assert/strict';
import { validate } from '#test/support/envoy.ts';
import { testAuthority } from '#test/support/mesh-certificates.ts';
import { staticBootstrap } from '#test/support/static-config.ts';
import { translateSecrets } from '#xds/translate/translate.ts';
import { policyCases } from '#test/golden/policy/cases.ts';
import { goldenCases } from '#test/golden/translate/cases.ts';

const cases = await goldenCases();
const policies = await policyCases();
const secrets = translateSecrets(await (await testAuthority()).issue('shop/bookbuyer'));

describe('goldens on a real Envoy', function () {
  this.timeout(60_000);

  for (const golden of cases) {
    it(`accepts ${golden.name}`, async () => {
      const { valid, output } = await validate(staticBootstrap(golden.resources, { secrets }));
      assert.ok(valid, output);
    });
  }

  for (const golden of policies) {
    it(`accepts policy ${golden.name}`, async () => {
      const results = await Promise.all(
        [...golden.resources].map(async ([sidecar, resources]) => {
          const { valid, output } = await validate(staticBootstrap(resources, { secrets }));
          return valid ? [] : [`${sidecar}: ${output}`];
        }),
      );
      assert.deepEqual(results.flat(), []);
    });
  }

  it('refuses a policy case whose route is broken', async () => {
    const server = policies.find(({ name }) => name === 'target-http')?.resources.get('shop/web-1');
    assert.ok(server);
    const good = JSON.stringify(staticBootstrap(server, { secrets }));
    const broken = good.replaceAll('.*Firefox.*', '(?<=x)y');
    assert.notEqual(broken, good);
    const { valid, output } = await validate(JSON.parse(broken) as Record<string, unknown>);
    assert.equal(valid, false);
    assert.match(output, /invalid perl operator/i);
  });

  it('refuses a route with a regex that RE2 does not know, deep inside a listener', async () => {
    const [good] = cases.filter(({ name }) => name === 'http-smi');
    assert.ok(good);
    const broken = JSON.stringify(staticBootstrap(good.resources, { secrets })).replace('.*Firefox.*', '(?<=x)y');
    const { valid, output } = await validate(JSON.parse(broken) as Record<string, unknown>);
    assert.equal(valid, false);
    assert.match(output, /invalid perl operator/i);
  });

  it('refuses a SAN matcher that is broken, deep inside a cluster', async () => {
    const [good] = cases.filter(({ name }) => name === 'tcp');
    assert.ok(good);
    const broken = JSON.stringify(staticBootstrap(good.resources, { secrets })).replaceAll(
      'spiffe://[^/]+',
      'spiffe://[^/+',
    );
    const { valid, output } = await validate(JSON.parse(broken) as Record<string, unknown>);
    assert.equal(valid, false);
    assert.match(output, /missing \]/i);
  });
});
