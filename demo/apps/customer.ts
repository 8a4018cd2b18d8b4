/**
 * What the buyer and the thief have in common: every interval they take a book, and every other time they look at the books
 * first. They send the very same headers, so nothing but their identity can tell them apart.
 */
import { type Counters, serveCounters } from './counter-page.ts';

const HEADERS = { 'client-app': 'bookbuyer', 'user-agent': 'Go-http-client/1.1' };

export interface CustomerOptions {
  readonly title: string;
  /** Verb of the counters: `bought` or `stolen`. */
  readonly verb: string;
  readonly colour: string;
}

/** Runs until SIGTERM. BOOKSTORE is `host:port` of the store, INTERVAL_MS the pause between two rounds. */
export async function runCustomer(options: CustomerOptions): Promise<void> {
  const store = process.env['BOOKSTORE'] ?? 'bookstore.bookstore:14001';
  const intervalMs = Number(process.env['INTERVAL_MS'] ?? 1000);
  const counters: Counters = {
    attempts: 0,
    [`${options.verb}V1`]: 0,
    [`${options.verb}V2`]: 0,
    refused: 0,
    failed: 0,
  };
  serveCounters({ title: options.title, counters, colour: options.colour });
  let running = true;
  process.on('SIGTERM', () => {
    running = false;
  });
  while (running) {
    try {
      await oneRound(`http://${store}`, options.verb, counters);
    } catch (error) {
      counters['failed']! += 1;
      console.log(JSON.stringify({ app: options.title, error: describe(error) }));
    }
    await new Promise((resolve) => setTimeout(resolve, intervalMs));
  }
}

/**
 * One round: counts it, and what came of it. Two requests in every round would be in step with a sidecar that sends every other
 * request to each of two versions: all books would come from one of them.
 */
export async function oneRound(store: string, verb: string, counters: Counters): Promise<void> {
  counters['attempts']! += 1;
  if (counters['attempts']! % 2 === 1) {
    const looked = await fetch(`${store}/books-bought`, { headers: HEADERS });
    await looked.arrayBuffer();
  }
  const taken = await fetch(`${store}/buy-a-book/new`, { headers: HEADERS });
  const body = await taken.text();
  if (taken.status === 200) {
    const version = (taken.headers.get('identity') ?? '').startsWith('bookstore-v2') ? 'V2' : 'V1';
    counters[`${verb}${version}`]! += 1;
  } else if (taken.status === 403) {
    counters['refused']! += 1;
    console.log(JSON.stringify({ status: taken.status, denied: taken.headers.get('x-osm-denied'), body: body.trim() }));
  } else {
    counters['failed']! += 1;
    console.log(JSON.stringify({ status: taken.status, body: body.trim().slice(0, 200) }));
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
