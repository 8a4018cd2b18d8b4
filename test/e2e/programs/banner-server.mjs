// A TCP server that speaks first, then echoes.
import { createServer } from 'node:net';

const port = Number(process.argv[2] ?? 7000);
createServer((socket) => {
  socket.write('BANNER of a server that speaks first\n');
  socket.on('data', (chunk) => socket.write(`echo ${chunk}`));
  socket.on('error', () => socket.destroy());
}).listen(port, '::', () => console.log(`listening on ${port}`));
process.on('SIGTERM', () => process.exit(0));
