/** Our own metadata on clusters and endpoints: labels for metrics. */
import { MetadataSchema } from '#xds/proto/gen/envoy/config/core/v3/base_pb.js';
import { METADATA } from './names.ts';
import { type Field, type Tag, nested, tag, tagOf, text } from './wire.ts';

const FILTER_METADATA = tagOf(MetadataSchema, 'filterMetadata');
const KEY = tag(1);
const VALUE = tag(2);
const STRUCT_FIELDS = tag(1);
const STRING_VALUE = tag(3);

/** The field `at`, a Metadata that holds these texts under our name. */
export function ourMetadata(at: Tag, values: Readonly<Record<string, string>>): Field {
  const fields = Object.entries(values).map(([key, value]) =>
    nested(STRUCT_FIELDS, text(KEY, key), nested(VALUE, text(STRING_VALUE, value))),
  );
  return nested(at, nested(FILTER_METADATA, text(KEY, METADATA), nested(VALUE, ...fields)));
}
