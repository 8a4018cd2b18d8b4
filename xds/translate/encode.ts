/** From messages to bytes: the only place that knows how a Resource is made. Deterministic: the same input, the same bytes. */
import { hash } from 'node:crypto';
import { type DescMessage, type MessageInitShape, type MessageShape, create, toBinary } from '@bufbuild/protobuf';
import type { Any, Duration } from '@bufbuild/protobuf/wkt';
import type { Resource } from '#xds/resource.ts';
import { memo } from './memo.ts';
import { type Field, type Piece, type Tag, assemble, nested, tag, text } from './wire.ts';

/** Plain shapes, as message initialisers take them. */
type Plain<M> = Omit<M, '$typeName' | '$unknown'>;

/** What a message is made from: plain objects all the way down, so that they can be spread. */
export type Init<S extends DescMessage> = Exclude<MessageInitShape<S>, MessageShape<S>>;

/** Encodes one message from its initialiser. */
export function encode<S extends DescMessage>(schema: S, init: Init<S>): Uint8Array<ArrayBuffer> {
  return toBinary(schema, create(schema, init as MessageInitShape<S>)) as Uint8Array<ArrayBuffer>;
}

/** A message that many others hold: made once, and taken as it is wherever it stands. */
export function shared<S extends DescMessage>(schema: S, init: Init<S>): MessageShape<S> {
  return create(schema, init as MessageInitShape<S>);
}

/** A message inside a `google.protobuf.Any`. */
export function pack<S extends DescMessage>(schema: S, init: Init<S>): Plain<Any> {
  return { typeUrl: typeUrl(schema), value: encode(schema, init) };
}

export function typeUrl(schema: DescMessage): string {
  return `type.googleapis.com/${schema.typeName}`;
}

/** Milliseconds as a duration. */
export function duration(milliseconds: number): Plain<Duration> {
  const seconds = Math.floor(milliseconds / 1000);
  return { seconds: BigInt(seconds), nanos: Math.round((milliseconds - seconds * 1000) * 1e6) };
}

/** What a resource names that has to travel with it. */
type References = Pick<Resource, 'endpoints' | 'secrets'>;

/** A whole message as a resource; its version is the hash of its bytes. */
export function resource<S extends DescMessage>(
  schema: S,
  name: string,
  init: Init<S>,
  references: References = {},
): Resource {
  return fromBytes(schema, name, encode(schema, init), references);
}

/** A whole message from pieces, as a resource: for what there are hundreds of, each different in a few names. */
export function assembled(
  schema: DescMessage,
  name: string,
  pieces: readonly Piece[],
  references: References = {},
): Resource {
  return fromBytes(schema, name, assemble(...pieces), references);
}

const ANY_TYPE = tag(1);
const ANY_VALUE = tag(2);

/** The first field of an Any. */
const anyType = memo((schema: DescMessage) => assemble(text(ANY_TYPE, typeUrl(schema))));

/** The same as `pack`, from pieces. */
export function packed(at: Tag, schema: DescMessage, ...pieces: readonly Piece[]): Field {
  return nested(at, anyType(schema), nested(ANY_VALUE, ...pieces));
}

function fromBytes(schema: DescMessage, name: string, bytes: Uint8Array, references: References): Resource {
  return { type: typeUrl(schema), name, bytes, hash: contentHash(bytes), ...references };
}

/** 128 bits of SHA-256 in hex: enough that two contents never share a version, short on the wire. */
export function contentHash(bytes: Uint8Array): string {
  return hash('sha256', bytes, 'hex').slice(0, 32);
}
