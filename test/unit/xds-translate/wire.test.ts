import assert from 'node:assert/strict';
import { create, toBinary } from '@bufbuild/protobuf';
import { StructSchema } from '@bufbuild/protobuf/wkt';
import fc from 'fast-check';
import { CidrRangeSchema } from '#xds/proto/gen/xds/core/v3/cidr_pb.js';
import { SocketAddressSchema } from '#xds/proto/gen/envoy/config/core/v3/address_pb.js';
import { assemble, nested, tag, tagOf, text, unsigned } from '#xds/translate/wire.ts';

describe('messages from pieces', () => {
  it('are the bytes that the library writes, whatever the texts', () => {
    const prefix = tagOf(CidrRangeSchema, 'addressPrefix');
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (value) => {
        // a string's default is not written by the library; here nobody writes what may be empty
        fc.pre(value !== '');
        const expected = toBinary(CidrRangeSchema, create(CidrRangeSchema, { addressPrefix: value }));
        assert.deepEqual(assemble(text(prefix, value)), expected);
      }),
    );
  });

  it('nest with lengths of one, two and three bytes', () => {
    const fields = tag(1);
    for (const length of [1, 100, 127, 128, 16_383, 16_384, 70_000]) {
      const value = 'ä'.repeat(length);
      const expected = toBinary(
        StructSchema,
        create(StructSchema, { fields: { k: { kind: { case: 'stringValue', value } } } }),
      );
      const made = assemble(nested(fields, text(tag(1), 'k'), nested(tag(2), text(tag(3), value))));
      assert.deepEqual(made, expected, `length ${length}`);
    }
  });

  it('write numbers, and leave out 0', () => {
    for (const port of [0, 1, 127, 128, 16_384, 65_535]) {
      const expected = toBinary(
        SocketAddressSchema,
        create(SocketAddressSchema, { address: '10.0.0.1', portSpecifier: { case: 'portValue', value: port } }),
      );
      const number = unsigned(SocketAddressSchema.field.portValue.number, port);
      const made = assemble(text(tagOf(SocketAddressSchema, 'address'), '10.0.0.1'), number);
      // within a oneof the library says 0 as well
      assert.deepEqual(made, port === 0 ? expected.subarray(0, -2) : expected, `port ${port}`);
    }
  });

  it('refuse a field that is no text and no message', () => {
    assert.throws(() => tagOf(SocketAddressSchema, 'portValue'), /no string or message field portValue/);
  });
});
