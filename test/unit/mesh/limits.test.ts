import assert from 'node:assert/strict';
import { compile } from '#mesh/compile.ts';
import { viewFor } from '#mesh/view-for.ts';
import { proxy } from './builders.ts';
import { largeMesh } from './large.ts';

describe('a large mesh', () => {
  it('what accounts may not call is shared between them: parts grow with services, not with accounts × services', () => {
    const services = 200;
    const objects = largeMesh({ namespaces: 10, services, podsEach: 1, targets: 120, splits: 20 }, false);
    const { model, problems } = compile(objects);
    assert.deepEqual(problems, []);
    for (const of of objects.pods) viewFor(model, proxy(of));
    assert.ok(model.parts.size < services * 10, `${model.parts.size} parts`);
  });

  it('parts that no view asks for are forgotten after a few revisions', () => {
    const size = { namespaces: 4, services: 40, podsEach: 1, targets: 0, splits: 0 };
    const large = largeMesh(size, true);
    let { model } = compile(large);
    for (const of of large.pods) viewFor(model, proxy(of));
    const full = model.parts.size;
    const small = { ...large, services: large.services.slice(0, 1) };
    for (let revision = 0; revision < 8; revision += 1) {
      ({ model } = compile(small, model));
      for (const of of large.pods) viewFor(model, proxy(of));
    }
    assert.ok(model.parts.size < full / 2, `${model.parts.size} of ${full} parts are left`);
  });
});
