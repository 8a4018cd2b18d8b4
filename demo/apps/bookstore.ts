/** Sells books. IDENTITY tells which version of the store this is; each sale restocks one book at the warehouse. */
import { setTimeout as pause } from 'node:timers/promises';
import { type Counters, type Route, serveCounters } from './counter-page.ts';

const identity = process.env['IDENTITY'] ?? 'bookstore-v1';
const warehouse = process.env['BOOKWAREHOUSE'] ?? 'bookwarehouse.bookwarehouse:14001';
const minMs = Number(process.env['SALE_MIN_MS'] ?? 150);
const maxMs = Number(process.env['SALE_MAX_MS'] ?? 750);
const counters: Counters = { booksSold: 0, restocked: 0, restockFailed: 0 };

const answer: Route = (_request, response) => {
  response.writeHead(200, { Booksbought: String(counters['booksSold']), Identity: identity });
  response.end(`${identity} has sold ${counters['booksSold']} books\n`);
};

const sell: Route = async (request, response) => {
  await pause(minMs + Math.random() * (maxMs - minMs));
  counters['booksSold']! += 1;
  await restock();
  await answer(request, response);
};

async function restock(): Promise<void> {
  try {
    const reply = await fetch(`http://${warehouse}/restock-books`, { method: 'POST', body: '1' });
    await reply.arrayBuffer();
    counters[reply.ok ? 'restocked' : 'restockFailed']! += 1;
  } catch (error) {
    counters['restockFailed']! += 1;
    console.log(JSON.stringify({ app: identity, restock: String(error) }));
  }
}

serveCounters({
  title: identity,
  counters,
  colour: identity.endsWith('v2') ? '#609' : '#036',
  routes: {
    'GET /books-bought': answer,
    'POST /books-bought': answer,
    'GET /buy-a-book/*': sell,
    'GET /reset': (request, response) => {
      counters['booksSold'] = 0;
      return answer(request, response);
    },
  },
});
