/**
 * A server for each protocol that the mesh carries; each answer begins with the pod's name. HTTP/1.1 and, on /ws, WebSocket on
 * 8080; HTTP/2 with prior knowledge on 8081; TCP that echoes on 7000; gRPC on 9090. On SIGTERM it exits at once.
 */
import { createServer as createHttp } from 'node:http';
import { createServer as createHttp2 } from 'node:http2';
import { createServer as createTcp } from 'node:net';
import { Server as GrpcServer, ServerCredentials, type ServerDuplexStream, type ServerUnaryCall } from '@grpc/grpc-js';
import { WebSocketServer } from 'ws';
import { echoService } from './echo-service.ts';

const pod = process.env['POD_NAME'] ?? 'server';

const http = createHttp((request, response) => {
  response.end(`${pod} HTTP/${request.httpVersion} ${request.method} ${request.url}\n`);
});
new WebSocketServer({ server: http, path: '/ws' }).on('connection', (socket) => {
  socket.on('message', (data: Buffer) => socket.send(`${pod} echo ${data.toString()}`));
});
http.listen(8080, '::');

createHttp2((request, response) => {
  response.end(`${pod} HTTP/${request.httpVersion} ${request.method} ${request.url}\n`);
}).listen(8081, '::');

createTcp((socket) => {
  socket.on('data', (chunk) => socket.write(`${pod} echo ${chunk.toString()}`));
  socket.on('error', () => socket.destroy());
}).listen(7000, '::');

type Answer = (error: null, text: string) => void;
const grpc = new GrpcServer();
grpc.addService(echoService, {
  say: ({ request }: ServerUnaryCall<string, string>, answer: Answer) => answer(null, `${pod} echo ${request}`),
  secret: (_: ServerUnaryCall<string, string>, answer: Answer) => answer(null, `${pod} secret`),
  chat(call: ServerDuplexStream<string, string>) {
    call.on('data', (text: string) => call.write(`${pod} echo ${text}`));
    call.on('end', () => call.end());
  },
});
grpc.bindAsync('[::]:9090', ServerCredentials.createInsecure(), (error) => {
  if (error !== null) throw error;
  console.log('listening on 7000, 8080, 8081, 9090');
});

process.on('SIGTERM', () => process.exit(0));
