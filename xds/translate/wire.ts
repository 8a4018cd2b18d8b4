/**
 * Messages put together from pieces. What differs between a hundred clusters is a few names; to build the whole message as
 * objects and encode it each time costs many times what copying its constant bytes does. In protobuf's wire format a message
 * is the sequence of its fields, so pieces that were encoded apart simply stand one behind the other; lengths are known
 * before anything is written, and every byte is copied once.
 *
 * Only fields that carry their length (messages, strings, bytes) and unsigned numbers are written here. A field that may
 * occur once must come from one piece: parsers disagree about merging the parts of a oneof.
 */
import { type DescMessage, ScalarType } from '@bufbuild/protobuf';

/** A piece of a message: encoded fields, or fields that are still to be written. */
export type Piece = Uint8Array | Field;

/** One field with its content. */
export interface Field {
  readonly tag: number;
  /** Bytes of the content, without tag and length. */
  readonly length: number;
  readonly content: string | readonly Piece[];
}

/** What stands before a field in the wire format: its number, with the type "length-delimited". */
export type Tag = number;

const LENGTH_DELIMITED = 2;

/** Throws when the schema has no such field, or when it is not one that carries its length. */
export function tagOf<S extends DescMessage>(schema: S, name: keyof S['field'] & string): Tag {
  const field = schema.field[name];
  const delimited = field?.fieldKind === 'message' || field?.fieldKind === 'list' || field?.fieldKind === 'map';
  if (field === undefined || !(delimited || field.scalar === ScalarType.STRING || field.scalar === ScalarType.BYTES)) {
    throw new Error(`${schema.typeName} has no string or message field ${name}`);
  }
  return tag(field.number);
}

/** The tag of a field by its number, for the few messages that every schema holds (map entries, Any, Struct). */
export function tag(fieldNumber: number): Tag {
  return (fieldNumber << 3) | LENGTH_DELIMITED;
}

export function text(at: Tag, value: string): Field {
  return { tag: at, length: Buffer.byteLength(value), content: value };
}

export function nested(at: Tag, ...content: readonly Piece[]): Field {
  return { tag: at, length: sizeOf(content), content };
}

/** A number that is not negative and below 2³¹; 0, the default, is not written. */
export function unsigned(fieldNumber: number, value: number): Uint8Array {
  if (value === 0) return new Uint8Array();
  const bytes = new Uint8Array(varintSize(fieldNumber << 3) + varintSize(value));
  writeVarint(bytes, writeVarint(bytes, 0, fieldNumber << 3), value);
  return bytes;
}

/** The bytes of a message from its pieces, in their order. */
export function assemble(...pieces: readonly Piece[]): Uint8Array<ArrayBuffer> {
  const size = sizeOf(pieces);
  const { target, at } = room(size);
  writeAll(target, at, pieces);
  return new Uint8Array(target.buffer, target.byteOffset + at, size);
}

const SLAB_BYTES = 16_384;
let slab = Buffer.alloc(0);
let used = 0;

/**
 * Memory of our own for small messages: to ask for each of a thousand apart costs more than to fill it. Never Node's pool,
 * whose other tenants live for a moment; these live as long as the part of the mesh that they were made from, and were made
 * together with their neighbours. What is bigger than an eighth has its own.
 */
function room(size: number): { readonly target: Buffer<ArrayBuffer>; readonly at: number } {
  if (size > SLAB_BYTES / 8) return { target: Buffer.allocUnsafeSlow(size), at: 0 };
  if (used + size > slab.length) {
    slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
    used = 0;
  }
  const at = used;
  used += size;
  return { target: slab, at };
}

function sizeOf(pieces: readonly Piece[]): number {
  let size = 0;
  for (const piece of pieces) {
    size +=
      piece instanceof Uint8Array ? piece.length : varintSize(piece.tag) + varintSize(piece.length) + piece.length;
  }
  return size;
}

function writeAll(bytes: Buffer, from: number, pieces: readonly Piece[]): number {
  let at = from;
  for (const piece of pieces) {
    if (piece instanceof Uint8Array) {
      bytes.set(piece, at);
      at += piece.length;
      continue;
    }
    at = writeVarint(bytes, at, piece.tag);
    at = writeVarint(bytes, at, piece.length);
    at = typeof piece.content === 'string' ? writeText(bytes, at, piece) : writeAll(bytes, at, piece.content);
  }
  return at;
}

function writeText(bytes: Buffer, at: number, { content, length }: Field): number {
  if (typeof content === 'string') bytes.write(content, at, length, 'utf8');
  return at + length;
}

function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 0x80; rest >>>= 7) size += 1;
  return size;
}

function writeVarint(bytes: Uint8Array, from: number, value: number): number {
  let at = from;
  let rest = value;
  for (; rest >= 0x80; rest >>>= 7) bytes[at++] = (rest & 0x7f) | 0x80;
  bytes[at++] = rest;
  return at;
}
