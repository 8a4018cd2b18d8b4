/** A gRPC service without generated code: messages are the UTF-8 bytes of a text. */
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';

export const PATHS = { say: '/echo.Echo/Say', chat: '/echo.Echo/Chat', secret: '/echo.Echo/Secret' } as const;

const toBytes = (text: string): Buffer => Buffer.from(text);
const toText = (bytes: Buffer): string => bytes.toString();

function method(path: string, streams: boolean): MethodDefinition<string, string> {
  return {
    path,
    requestStream: streams,
    responseStream: streams,
    requestSerialize: toBytes,
    requestDeserialize: toText,
    responseSerialize: toBytes,
    responseDeserialize: toText,
  };
}

/** `say` and `secret` answer one text with one; `chat` answers each text of a stream. */
export const echoService: ServiceDefinition = {
  say: method(PATHS.say, false),
  chat: method(PATHS.chat, true),
  secret: method(PATHS.secret, false),
};
