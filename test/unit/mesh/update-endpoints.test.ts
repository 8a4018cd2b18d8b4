import assert from 'node:assert/strict';
import { compile } from '#mesh/compile.ts';
import { updateEndpoints } from '#mesh/update-endpoints.ts';
import { cluster, pod, port, service, SETTINGS, slice } from './builders.ts';

describe('a change of endpoints', () => {
  const web = service('shop/web');
  const db = service('shop/db', { headless: true, ports: [port(5432, { name: 'tcp' })] });
  const foreign = service('shop/plain');
  const pods = [pod('shop/web-1', 'web'), pod('shop/web-2', 'web'), pod('shop/db-0', 'db'), pod('shop/db-1', 'db')];
  const [one, two, first, second] = pods;
  const plain = pod('shop/plain-1', 'plain', { meshed: false });
  const stranger = pod('shop/other', 'other');
  const relabelled = pod('shop/web-3', 'elsewhere', { sa: 'web' });
  assert.ok(one !== undefined && two !== undefined && first !== undefined && second !== undefined);
  const all = [...pods, plain, stranger, relabelled];
  const config = { ...SETTINGS, permissive: true };
  const { model } = compile(cluster({ services: [web, db, foreign], pods: all, config }));

  const cases = [
    ['the same endpoints again', web, slice(web, [one, two]), 'unchanged'],
    ['one pod is not ready', web, slice(web, [one, two], false), 'endpoints'],
    ['one pod has left', web, slice(web, [one]), 'endpoints'],
    ['a pod of another account has come', web, slice(web, [one, two, stranger]), 'recompile'],
    [
      'a pod of the same account that the selector does not match has come',
      web,
      slice(web, [one, relabelled]),
      'recompile',
    ],
    ['the address of a headless service is new', db, slice(db, [first]), 'recompile'],
    ['a service that is not the mesh’s stays so', foreign, slice(foreign, [plain]), 'unchanged'],
    ['a service that was not the mesh’s gets a meshed pod', foreign, slice(foreign, [one]), 'recompile'],
  ] as const;
  for (const [title, of, slices, expected] of cases) {
    it(`${title}: ${expected}`, () => {
      const update = updateEndpoints(model, { namespace: of.namespace, service: of.name, slices: [slices] });
      assert.equal(update.kind, expected);
    });
  }

  it('leaves the model before it as it was, and shares all other services with it', () => {
    const before = model.services.get('shop/web');
    const update = updateEndpoints(model, { namespace: 'shop', service: 'web', slices: [slice(web, [one])] });
    assert.ok(update.kind === 'endpoints');
    assert.equal(model.services.get('shop/web'), before);
    assert.equal(before?.endpoints.get(80)?.length, 2);
    assert.equal(update.model.services.get('shop/web')?.endpoints.get(80)?.length, 1);
    assert.equal(update.model.services.get('shop/db'), model.services.get('shop/db'));
  });
});
