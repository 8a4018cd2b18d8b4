/**
 * Asks the client of a call to take a new connection for its next one. Ending the stream alone would not move a
 * sidecar: Envoy opens the next stream on the same HTTP/2 connection, so to the same replica. grpc-js shows no way to
 * the connection of one call, hence the walk over its private fields; where a later version hides them, streams are
 * still ended and only the rebalancing is lost (a test would show it).
 */
export function closeConnection(call: object): boolean {
  const session = walk(call, ['call', 'stream', 'session']) ?? walk(call, ['call', 'nextCall', 'stream', 'session']);
  if (!isSession(session)) return false;
  // Not in this tick: the status of the stream has to be written first. close() lets what is open finish.
  setImmediate(() => {
    if (!session.destroyed) session.close();
  });
  return true;
}

function walk(from: unknown, path: readonly string[]): unknown {
  let value = from;
  for (const name of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}

function isSession(value: unknown): value is { close(): void; destroyed: boolean } {
  return typeof value === 'object' && value !== null && 'close' in value && typeof value.close === 'function';
}
