/** From messages to bytes: the only place that knows how a Resource is made. Deterministic: the same input, the same bytes. */
import { createHash } from 'node:crypto';
import { type DescMessage, type MessageInitShape, type MessageShape, create, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import type { Any, Duration } from '@bufbuild/protobuf/wkt';
import type { Resource } from '#xds/resource.ts';

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

/**
 * A resource made of a message and of children that are encoded already, one field for all of them. Children are shared
 * between resources (a virtual host by every sidecar that sees the service), so each is encoded once: in protobuf's wire
 * format a repeated field may simply be appended.
 */
export function resourceWithChildren<S extends DescMessage>(
  schema: S,
  name: string,
  init: Init<S>,
  children: { readonly field: string; readonly parts: readonly Uint8Array[] },
  references: References = {},
): Resource {
  const field = schema.field[children.field];
  if (field === undefined) throw new Error(`${schema.typeName} has no field ${children.field}`);
  const writer = new BinaryWriter();
  for (const part of children.parts) writer.tag(field.number, WireType.LengthDelimited).bytes(part);
  const head = encode(schema, init);
  const tail = writer.finish();
  const bytes = new Uint8Array(head.length + tail.length);
  bytes.set(head);
  bytes.set(tail, head.length);
  return fromBytes(schema, name, bytes, references);
}

function fromBytes(schema: DescMessage, name: string, bytes: Uint8Array, references: References): Resource {
  return { type: typeUrl(schema), name, bytes, hash: contentHash(bytes), ...references };
}

/** 128 bits of SHA-256 in hex: enough that two contents never share a version, short on the wire. */
export function contentHash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 32);
}
