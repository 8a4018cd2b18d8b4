import { type Connection, IdleError } from './connection.ts';
import { answerError, KubernetesError, statusError, transportError } from './error.ts';
import { createLineSplitter } from './lines.ts';
import { collectionOf } from './paths.ts';
import type { Kind, KubeObject, WatchEvent, WatchOptions } from './types.ts';

/**
 * The events of one watch, until the server ends it in good order. Throws a KubernetesError on everything else: an
 * answer of 400 or more, an ERROR event (410 in it means that the resource version is too old), a connection that was
 * cut (also in the middle of a line), a silence longer than `idleMs` (reason `Silent` once the watch was answered), or
 * `signal`.
 */
export async function* watchEvents<T extends KubeObject>(
  connection: Connection,
  kind: Kind,
  options: WatchOptions,
): AsyncGenerator<WatchEvent<T>> {
  const { resourceVersion, timeoutSeconds, idleMs, signal } = options;
  const path = collectionOf(kind, options, { watch: true, allowWatchBookmarks: true, resourceVersion, timeoutSeconds });
  const call = `GET ${path}`;
  const answer = await connection.send({ method: 'GET', path, idleMs, stream: true, signal });
  const failed = (answer.statusCode ?? 0) >= 400;
  const split = createLineSplitter();
  let refusal = '';
  try {
    for await (const chunk of answer) {
      if (failed) {
        refusal += String(chunk);
        continue;
      }
      for (const line of split.push(chunk as Buffer)) yield readEvent<T>(line, call);
    }
  } catch (error) {
    if (error instanceof KubernetesError) throw error;
    if (signal?.aborted) throw transportError('Aborted', call, error);
    throw transportError(error instanceof IdleError ? 'Silent' : 'Cut', call, error);
  }
  if (failed) throw answerError(call, answer.statusCode ?? 0, refusal, answer.headers['retry-after']);
  if (split.rest > 0) throw transportError('Cut', call, `the stream ended inside a line, ${split.rest} bytes in`);
}

function readEvent<T extends KubeObject>(line: Buffer, call: string): WatchEvent<T> {
  let event: WatchEvent<T> | { type: 'ERROR'; object: { code?: number; reason?: string; message?: string } };
  try {
    event = JSON.parse(line.toString('utf8')) as typeof event;
  } catch (error) {
    throw transportError('Unreadable', call, error);
  }
  if (event.type === 'ERROR') throw statusError(call, event.object);
  return event;
}
