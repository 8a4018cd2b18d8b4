/** Our own metadata on clusters and endpoints: labels for metrics. */
import { MetadataSchema } from '#xds/proto/gen/envoy/config/core/v3/base_pb.js';
import { METADATA } from './names.ts';
import { type Field, type Piece, type Tag, assemble, nested, tag, tagOf, text } from './wire.ts';

const FILTER_METADATA = tagOf(MetadataSchema, 'filterMetadata');
const KEY = tag(1);
const VALUE = tag(2);
const STRUCT_FIELDS = tag(1);
const STRING_VALUE = tag(3);

const ourName = assemble(text(KEY, METADATA));
const keys = new Map<string, Uint8Array>();

/** The few keys that there are stand in every cluster and endpoint. */
function keyField(key: string): Uint8Array {
  const known = keys.get(key);
  if (known !== undefined) return known;
  const made = assemble(text(KEY, key));
  keys.set(key, made);
  return made;
}

/** The field `at`, a Metadata that holds these texts under our name. */
export function ourMetadata(at: Tag, values: Readonly<Record<string, string>>): Field {
  const fields: Piece[] = [];
  for (const key in values) {
    const value = nested(VALUE, text(STRING_VALUE, values[key] ?? ''));
    fields.push(nested(STRUCT_FIELDS, keyField(key), value));
  }
  return nested(at, nested(FILTER_METADATA, ourName, nested(VALUE, ...fields)));
}
