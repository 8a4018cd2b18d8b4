/**
 * What a real API server cannot be made to do on command: refuse for overload, close a socket just as it is used again,
 * answer with half a body. A small HTTP server of the test's own does it, by script.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Client, createClient } from '#kubernetes/client.ts';
import { KubernetesError } from '#kubernetes/error.ts';
import { ConfigMaps, Nodes } from '#kubernetes/kinds.ts';
import type { KubeObject } from '#kubernetes/types.ts';

type Step = (request: IncomingMessage, response: ServerResponse, socket: Socket) => void;

const node: KubeObject = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n' } };
const answerNode: Step = (_request, response) => {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(node));
};
const refuse =
  (status: number, headers: Record<string, string> = {}): Step =>
  (_request, response) =>
    void response.writeHead(status, { 'content-type': 'application/json', ...headers }).end('{"reason":"Overloaded"}');
const hangUp: Step = (_request, _response, socket) => void socket.destroy();

describe('the Kubernetes client, when the server misbehaves', () => {
  let directory: string;
  let server: Server;
  let client: Client;
  let script: Step[] = [];
  let asked: string[] = [];

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'osm-faults-'));
    server = createServer((request, response) => {
      asked.push(`${request.method} ${request.url}`);
      request.resume();
      const step = script.shift();
      assert.ok(step, 'the client asked once more than the script has answers');
      step(request, response, request.socket);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    await writeFile(
      join(directory, 'kubeconfig'),
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Config',
        'current-context': 'c',
        clusters: [{ name: 'c', cluster: { server: url, 'insecure-skip-tls-verify': true } }],
        users: [{ name: 'c', user: { token: 'secret-token' } }],
        contexts: [{ name: 'c', context: { cluster: 'c', user: 'c' } }],
      }),
    );
    client = createClient({ kubeconfig: join(directory, 'kubeconfig'), idleMs: 300 });
  });
  afterEach(() => {
    assert.equal(script.length, 0, 'the whole script was played');
    asked = [];
  });
  after(async () => {
    client.close();
    server.closeAllConnections();
    server.close();
    await rm(directory, { recursive: true });
  });

  const play = (...steps: Step[]): void => void (script = steps);
  const failsWith = (status: number, reason: string) => (error: unknown) => {
    assert.ok(error instanceof KubernetesError, String(error));
    assert.deepEqual([error.status, error.reason], [status, reason], error.message);
    assert.doesNotMatch(error.message + String(error.stack), /secret-token/);
    return true;
  };

  it('comes back when it is asked to, writes included', async () => {
    play(refuse(429, { 'retry-after': '0' }), refuse(503, { 'retry-after': '0' }), answerNode);
    assert.equal((await client.create(Nodes, node)).metadata.name, 'n');
    assert.equal(asked.length, 3);
  });

  it('gives up in the end, and at once where it was not asked to come back', async () => {
    play(...Array.from({ length: 5 }, () => refuse(429, { 'retry-after': '0' })));
    await assert.rejects(client.get(Nodes, 'n'), failsWith(429, 'Overloaded'));
    play(refuse(500));
    await assert.rejects(client.get(Nodes, 'n'), failsWith(500, 'Overloaded'));
  });

  it('sends again what may happen twice when a kept socket was closed under it, and nothing else', async () => {
    play(answerNode, hangUp, answerNode);
    await client.get(Nodes, 'n');
    await client.get(Nodes, 'n');
    assert.equal(asked.length, 3);
    play(hangUp);
    await assert.rejects(client.create(Nodes, node), failsWith(0, 'Unreachable'));
  });

  it('tells a cut body, a body that is no JSON, and a silence apart', async () => {
    const half: Step = (_request, response, socket) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '999' });
      response.write('{"metadata":', () => socket.destroy());
    };
    play(half);
    await assert.rejects(client.get(Nodes, 'n'), failsWith(0, 'Cut'));
    play((_request, response) => void response.writeHead(200, { 'content-type': 'application/json' }).end('<html>'));
    await assert.rejects(client.get(Nodes, 'n'), failsWith(0, 'Unreadable'));
    play(() => undefined);
    await assert.rejects(client.get(Nodes, 'n'), failsWith(0, 'Timeout'));
  });

  it('does not let a namespaced object go without its namespace', async () => {
    play();
    assert.throws(() => void client.create(ConfigMaps, { ...node, kind: 'ConfigMap' }), /no metadata.namespace/);
    await assert.rejects(async () => client.get(ConfigMaps, 'x'), /its namespace is missing/);
  });
});
