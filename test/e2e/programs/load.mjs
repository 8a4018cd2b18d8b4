// A bounded load: WORKERS loops that call URL with METHOD until SECONDS have passed, on kept-alive connections.
// Prints one JSON line at the end (and on SIGTERM): how many were sent, how each was answered, and what failed.
import { Agent, request } from 'node:http';

const [url, method = 'GET', seconds = '10', workers = '4', pauseMs = '5'] = process.argv.slice(2);
const agent = new Agent({ keepAlive: true, maxSockets: Number(workers) });
const end = Date.now() + Number(seconds) * 1000;
const report = { sent: 0, statuses: {}, errors: {}, first: Date.now(), failures: [] };

function call() {
  return new Promise((resolve) => {
    const sent = request(url, { method, agent, timeout: 20000 }, (response) => {
      let body = '';
      response.on('data', (chunk) => (body += chunk));
      response.on('end', () => {
        report.statuses[response.statusCode] = (report.statuses[response.statusCode] ?? 0) + 1;
        if (response.statusCode >= 400 && report.failures.length < 5) {
          report.failures.push({
            at: new Date().toISOString(),
            status: response.statusCode,
            body: body.slice(0, 160),
            headers: response.headers,
          });
        }
        resolve();
      });
      response.on('error', (error) => resolve(failed(error)));
    });
    sent.on('timeout', () => sent.destroy(new Error('timeout')));
    sent.on('error', (error) => resolve(failed(error)));
    sent.end(method === 'POST' ? 'body' : undefined);
  });
}

function failed(error) {
  const key = error.code ?? error.message;
  report.errors[key] = (report.errors[key] ?? 0) + 1;
  if (report.failures.length < 5) report.failures.push({ at: new Date().toISOString(), error: String(error) });
}

function finish() {
  console.log(JSON.stringify({ load: report }));
  process.exit(0);
}
process.on('SIGTERM', finish);

await Promise.all(
  Array.from({ length: Number(workers) }, async () => {
    while (Date.now() < end) {
      report.sent += 1;
      await call();
      await new Promise((resolve) => setTimeout(resolve, Number(pauseMs)));
    }
  }),
);
finish();
