/**
 * The two messages of the delta protocol in their wire form. Written by hand over protobuf-es' reader and writer for
 * two reasons: a resource is put into its envelope once and those bytes are shared by every response that carries it,
 * and the Node of a request (tens of kilobytes of extension names) is skipped instead of decoded.
 */
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import type { Resource } from '#xds/resource.ts';
import type { DeltaRequest, DeltaResponse } from './messages.ts';

/** Reads a DeltaDiscoveryRequest. Throws on bytes that are none. */
export function decodeRequest(bytes: Uint8Array): DeltaRequest {
  const reader = new BinaryReader(bytes);
  let type = '';
  let nodeId: string | undefined;
  let nonce = '';
  let error: string | undefined;
  const subscribe: string[] = [];
  const unsubscribe: string[] = [];
  const initialVersions = new Map<string, string>();
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    switch (field) {
      case 1:
        nodeId = readString(reader.bytes(), 1);
        break;
      case 2:
        type = reader.string();
        break;
      case 3:
        subscribe.push(reader.string());
        break;
      case 4:
        unsubscribe.push(reader.string());
        break;
      case 5: {
        const entry = reader.bytes();
        initialVersions.set(readString(entry, 1) ?? '', readString(entry, 2) ?? '');
        break;
      }
      case 6:
        nonce = reader.string();
        break;
      case 7:
        error = readString(reader.bytes(), 2) ?? 'no message';
        break;
      default:
        reader.skip(wire, field);
    }
  }
  return { type, nodeId, subscribe, unsubscribe, initialVersions, nonce, error };
}

/** The string in one field of a message; undefined when it is not there. */
function readString(bytes: Uint8Array, wanted: number): string | undefined {
  const reader = new BinaryReader(bytes);
  let found: string | undefined;
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    if (field === wanted) found = reader.string();
    else reader.skip(wire, field);
  }
  return found;
}

const envelopes = new WeakMap<Resource, Uint8Array>();

/** Field 2 of the response for one resource: tag, length and the Resource message around its Any. Made once. */
function envelope(resource: Resource): Uint8Array {
  const known = envelopes.get(resource);
  if (known !== undefined) return known;
  const made = new BinaryWriter()
    .tag(2, WireType.LengthDelimited)
    .fork()
    .tag(1, WireType.LengthDelimited)
    .string(resource.hash)
    .tag(2, WireType.LengthDelimited)
    .fork()
    .tag(1, WireType.LengthDelimited)
    .string(resource.type)
    .tag(2, WireType.LengthDelimited)
    .bytes(resource.bytes)
    .join()
    .tag(3, WireType.LengthDelimited)
    .string(resource.name)
    .join()
    .finish();
  envelopes.set(resource, made);
  return made;
}

/** Writes a DeltaDiscoveryResponse by putting shared envelopes one behind the other. */
export function encodeResponse(response: DeltaResponse): Buffer {
  const writer = new BinaryWriter();
  writer.tag(4, WireType.LengthDelimited).string(response.type);
  writer.tag(5, WireType.LengthDelimited).string(response.nonce);
  for (const name of response.removed) writer.tag(6, WireType.LengthDelimited).string(name);
  return Buffer.concat([writer.finish(), ...response.resources.map(envelope)]);
}
