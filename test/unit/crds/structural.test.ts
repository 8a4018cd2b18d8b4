import assert from 'node:assert/strict';
import { Type } from 'typebox';
import { allCrds } from '#crds/manifests.ts';
import { structural } from '#crds/structural.ts';
import { duration, flag, oneOf, optional, section, text } from '#crds/schema/kit.ts';

describe('crds: structural schemas', () => {
  const refused: [string, () => unknown, RegExp][] = [
    ['a union', () => Type.Union([Type.Literal('a'), Type.Literal('b')]), /^Kind\.spec\.field: anyOf is only possible/],
    ['an enum without a type', () => Type.Enum(['a', 'b']), /^Kind\.spec\.field: type is missing/],
    ['a record', () => Type.Record(Type.String(), Type.String()), /^Kind\.spec\.field: patternProperties has no place/],
    ['a literal', () => Type.Literal('a'), /^Kind\.spec\.field: const has no place/],
    ['a reference', () => Type.Ref('Other'), /^Kind\.spec\.field: \$ref has no place/],
    ['anything', () => Type.Any(), /^Kind\.spec\.field: type is missing/],
    [
      'a closed object',
      () => Type.Object({ a: Type.String() }, { additionalProperties: false }),
      /^Kind\.spec\.field: additionalProperties excludes properties/,
    ],
    ['a tuple', () => Type.Tuple([Type.String(), Type.Number()]), /^Kind\.spec\.field: /],
    ['null', () => Type.Null(), /^Kind\.spec\.field: type must be one of/],
    ['a default of another type', () => Type.String({ default: 5 }), /the default 5 fails its own schema/],
    ['a default outside its enum', () => oneOf(['a', 'b'], '', 'c' as 'a'), /the default "c" fails its own schema/],
    [
      'a default that breaks its own rule',
      () =>
        text('', { default: 'x', rules: [{ rule: "self != 'x'", message: 'not x', holds: (self) => self !== 'x' }] }),
      /the default "x" fails its own schema: not x/,
    ],
    ['a list without items', () => Type.Unsafe({ type: 'array' }), /^Kind\.spec\.field: items is missing/],
  ];
  for (const [what, make, message] of refused) {
    it(`refuse ${what}, with its path`, () => {
      const spec = Type.Object({ field: make() as Type.TSchema });
      assert.throws(() => structural(spec, 'Kind.spec'), { name: 'NotStructural', message });
    });
  }

  it('name the path through lists and maps', () => {
    const bad = Type.Unsafe({ type: 'object', additionalProperties: Type.Array(Type.Any()) });
    assert.throws(() => structural(bad, 'K.spec'), { message: /^K\.spec\.\*\[\]: type is missing/ });
  });

  it('ask only for fields without a default, and keep the check of a rule out of the CRD', () => {
    const spec = Type.Object({
      needed: text('Needed.'),
      defaulted: flag('Defaulted.', true),
      left: optional(
        duration('Left out.', { rules: [{ rule: "self != '0'", message: 'not 0', holds: (self) => self !== '0' }] }),
      ),
    });
    const written = structural(spec, 'K.spec');
    assert.deepEqual(written['required'], ['needed']);
    assert.deepEqual(JSON.parse(JSON.stringify(written)), written, 'plain JSON');
    assert.match(JSON.stringify(written), /\{"rule":"self != '0'","message":"not 0"\}/);
  });

  it('hold no object twice, since YAML would show it as an anchor with aliases', () => {
    const seen = new Set<object>();
    const visit = (value: unknown, path: string): void => {
      if (typeof value !== 'object' || value === null) return;
      assert.ok(!seen.has(value), `${path} is shared`);
      seen.add(value);
      for (const [key, part] of Object.entries(value)) visit(part, `${path}.${key}`);
    };
    allCrds().forEach((crd, index) => visit(crd, `crds[${index}]`));
    assert.ok(seen.size > 1000, 'it looked at all of them');
  });

  it('complete the default of a part whose rules would otherwise see it half', () => {
    const rule = { rule: 'self.a', message: 'a', holds: (self: { a: boolean }) => self.a };
    assert.deepEqual(structural(section('', { a: flag('', true) }, [rule]), 'K')['default'], { a: true });
    assert.deepEqual(structural(section('', { a: flag('', true) }), 'K')['default'], {});
  });
});
