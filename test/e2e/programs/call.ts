/**
 * Makes calls, all at once, and prints what came of them as one line of JSON, in their order. The one argument is JSON too: a list of
 * `Call`. A refusal or a broken connection is an outcome, not a failure of this program.
 */
import { request } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { Client, credentials, type ServiceError } from '@grpc/grpc-js';
import { createConnection } from 'mysql2/promise';
import { WebSocket } from 'ws';
import { PATHS } from './echo-service.ts';
import type { Call, Outcome, Protocol } from './outcome.ts';

const TIME_LIMIT_MS = 5000;

type Caller = (host: string, port: number, path: string) => Promise<Outcome>;

const text = (header: string | string[] | undefined): { denied?: string } =>
  header === undefined ? {} : { denied: String(header) };

/** Resolves with the outcome that `start` reports first; an Error is one too. */
function outcome(start: (done: (outcome: Outcome | Error) => void) => void): Promise<Outcome> {
  return new Promise((resolve) => {
    start((found) => resolve(found instanceof Error ? { answer: '', error: describe(found) } : found));
  });
}

function describe(error: Error): string {
  return 'code' in error ? String(error.code) : error.message;
}

const callers: Readonly<Record<Protocol, Caller>> = {
  http1: (host, port, path) =>
    outcome((done) => {
      const call = request({ host: bare(host), port, path, headers: { host: `${host}:${port}` } }, (response) => {
        let answer = '';
        response.on('data', (chunk) => (answer += chunk));
        response.on('end', () =>
          done({ answer, status: response.statusCode ?? 0, ...text(response.headers['x-osm-denied']) }),
        );
      });
      call.on('error', done).end();
    }),

  http2: (host, port, path) =>
    outcome((done) => {
      const session = connectHttp2(`http://${host}:${port}`);
      session.on('error', done);
      const call = session.request({ ':path': path });
      let answer = '';
      let head: { status: number; denied?: string } = { status: 0 };
      call.on('response', (headers) => {
        head = { status: headers[':status'] ?? 0, ...text(headers['x-osm-denied']) };
      });
      call.on('data', (chunk) => (answer += chunk));
      call.on('error', done);
      call.on('end', () => done({ answer, ...head }));
    }),

  grpc: (host, port, path) =>
    outcome((done) => {
      const client = new Client(`${host}:${port}`, credentials.createInsecure());
      const bytes = (value: string): Buffer => Buffer.from(value);
      client.makeUnaryRequest(path, bytes, String, 'word', (error, answer) =>
        done(error === null ? { answer: answer ?? '', status: 0 } : grpcFailure(error)),
      );
    }),

  /** Three texts, each said when the one before was answered. */
  'grpc-stream': (host, port) =>
    outcome((done) => {
      const client = new Client(`${host}:${port}`, credentials.createInsecure());
      const call = client.makeBidiStreamRequest(PATHS.chat, (value: string) => Buffer.from(value), String);
      const answers: string[] = [];
      call.on('data', (answer: string) => {
        answers.push(answer);
        if (answers.length < 3) call.write(`word ${answers.length}`);
        else call.end();
      });
      call.on('error', (error: ServiceError) => done(grpcFailure(error)));
      call.on('end', () => done({ answer: answers.join('\n'), status: 0 }));
      call.write('word 0');
    }),

  tcp: (host, port) =>
    outcome((done) => {
      const socket = connectTcp({ host: bare(host), port }, () => socket.write('word\n'));
      socket.on('data', (chunk) => {
        done({ answer: chunk.toString() });
        socket.destroy();
      });
      socket.on('error', done);
      socket.on('close', () => done({ answer: '', error: 'closed without a byte' }));
    }),

  websocket: (host, port, path) =>
    outcome((done) => {
      const socket = new WebSocket(`ws://${host}:${port}${path}`);
      socket.on('open', () => socket.send('word'));
      socket.on('message', (data: Buffer) => done({ answer: data.toString(), status: 101 }));
      socket.on('unexpected-response', (_, response) =>
        done({ answer: '', status: response.statusCode ?? 0, ...text(response.headers['x-osm-denied']) }),
      );
      socket.on('error', done);
    }),

  /** Writes a row and reads it back. */
  async mysql(host, port) {
    const user = { user: 'root', password: process.env['MYSQL_ROOT_PASSWORD'] ?? 'mypassword', database: 'booksdemo' };
    try {
      const connection = await createConnection({ host: bare(host), port, ...user, connectTimeout: TIME_LIMIT_MS });
      await connection.query('CREATE TABLE IF NOT EXISTS words (word VARCHAR(20))');
      await connection.execute('INSERT INTO words VALUES (?)', ['word']);
      const [rows] = await connection.query('SELECT word, VERSION() AS version FROM words LIMIT 1');
      return { answer: JSON.stringify(rows) };
    } catch (error) {
      return { answer: '', error: describe(error as Error) };
    }
  },
};

/** An address as a socket takes it. */
function bare(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1');
}

function grpcFailure({ code, details, metadata }: ServiceError): Outcome {
  const [denied] = metadata.get('x-osm-denied');
  return { answer: '', status: code, error: details, ...(denied === undefined ? {} : { denied: String(denied) }) };
}

function make({ protocol, target, path = '/hello' }: Call): Promise<Outcome> {
  const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(target) ?? [];
  const late = new Promise<Outcome>((resolve) => {
    setTimeout(() => resolve({ answer: '', error: `no answer within ${TIME_LIMIT_MS / 1000} s` }), TIME_LIMIT_MS);
  });
  return Promise.race([callers[protocol](host, Number(port), path), late]);
}

const calls = JSON.parse(process.argv[2] ?? '[]') as Call[];
console.log(JSON.stringify(await Promise.all(calls.map(make))));
process.exit(0);
