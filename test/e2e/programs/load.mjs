// A bounded load: `workers` loops that call `url` until `seconds` have passed, or stdin has ended where `untilEnd` is set.
// The one argument is JSON. http://… : requests with `method` on kept-alive connections. tcp://host:port : for each word that is
// echoed a new connection. Prints one JSON line at the end (and on SIGTERM; with `untilEnd` every quarter of a second too): how many
// were sent, how each was answered, by whom, when first and last, what failed, how long the longest took or waits, and what ended it.
import { Agent, request } from 'node:http';
import { connect } from 'node:net';

const options = JSON.parse(process.argv[2]);
const { url, method = 'GET', seconds = 10, workers = 4, pauseMs = 5, untilEnd = false } = options;
const agent = new Agent({ keepAlive: true, maxSockets: workers });
const began = Date.now();
const end = began + seconds * 1000;
const report = { sent: 0, connections: 0, statuses: {}, errors: {}, answers: {}, failures: [], longestMs: 0, began };
const known = new WeakSet();
/** When each call that is unanswered yet was made, by its worker. */
const waiting = new Map();
let inputEnded = false;

/** `who` is the answering pod, or the reason of a refusal. */
function note(counts, key, who) {
  counts[key] = (counts[key] ?? 0) + 1;
  const seen = (report.answers[`${key} ${who}`.trim()] ??= { count: 0, first: Date.now(), last: 0 });
  seen.count += 1;
  seen.last = Date.now();
}

function failed(error) {
  note(report.errors, error.code ?? error.message, '');
  if (report.failures.length < 5) report.failures.push({ at: new Date().toISOString(), error: String(error) });
}

function answered({ statusCode: status, headers }, body) {
  note(report.statuses, status, status < 400 ? body.split(' ', 1)[0] : (headers['x-osm-denied'] ?? ''));
  if (status >= 400 && report.failures.length < 5) {
    report.failures.push({ at: new Date().toISOString(), status, body: body.slice(0, 160), headers });
  }
}

function callHttp() {
  return new Promise((resolve) => {
    const sent = request(url, { method, agent, timeout: 20000 }, (response) => {
      let body = '';
      response.on('data', (chunk) => (body += chunk));
      response.on('end', () => resolve(answered(response, body)));
      response.on('error', (error) => resolve(failed(error)));
    });
    sent.on('socket', (socket) => {
      if (!known.has(socket)) report.connections += 1;
      known.add(socket);
    });
    sent.on('timeout', () => sent.destroy(new Error('timeout')));
    sent.on('error', (error) => resolve(failed(error)));
    sent.end(method === 'POST' ? 'body' : undefined);
  });
}

function callTcp() {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connect({ host: hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(port) }, () =>
      socket.write('word\n'),
    );
    socket.setTimeout(20000, () => socket.destroy(new Error('timeout')));
    let answer;
    let error;
    socket.on('data', (chunk) => {
      answer = chunk.toString();
      socket.end();
    });
    socket.on('error', (found) => (error = found));
    socket.on('close', () => {
      // With the word still unread at the other end, the same end of a connection is a reset.
      if (answer !== undefined) note(report.statuses, 'answered', answer.split(' ', 1)[0]);
      else failed(error === undefined || error.code === 'ECONNRESET' ? new Error('closed without a byte') : error);
      resolve();
    });
  });
}

function tell() {
  report.at = Date.now();
  for (const since of waiting.values()) tookSince(since);
  console.log(JSON.stringify({ load: report }));
}

function tookSince(since) {
  report.longestMs = Math.max(report.longestMs, Math.round(performance.now() - since));
}

/** By `limit`, `input` or `signal`. */
function finish(by) {
  report.ended = by;
  tell();
  process.exit(0);
}
process.on('SIGTERM', () => finish('signal'));
if (untilEnd) {
  process.stdin.on('end', () => (inputEnded = true)).resume();
  setInterval(tell, 250);
}

const call = url.startsWith('tcp:') ? callTcp : callHttp;
await Promise.all(
  Array.from({ length: workers }, async (_, worker) => {
    while (Date.now() < end && !inputEnded) {
      const since = performance.now();
      waiting.set(worker, since);
      report.sent += 1;
      await call();
      waiting.delete(worker);
      tookSince(since);
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }),
);
finish(inputEnded ? 'input' : 'limit');
