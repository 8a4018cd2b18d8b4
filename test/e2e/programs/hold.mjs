// Holds one TCP connection to HOST:PORT, says a word on it every 200 ms, and reports each half second how it fares. Ends when
// stdin does, and after ten minutes.
import { connect } from 'node:net';

const [host, port] = process.argv.slice(2);
const state = { hold: 'opening', bytes: 0, echoes: 0, sent: 0 };
const socket = connect({ host, port: Number(port) }, () => {
  state.hold = 'open';
  setInterval(() => {
    if (state.hold !== 'open') return;
    socket.write(`word ${state.sent}\n`);
    state.sent += 1;
  }, 200);
});
socket.on('data', (chunk) => {
  state.bytes += chunk.length;
  state.echoes += chunk.toString().split('echo word').length - 1;
});
socket.on('error', (error) => (state.error = String(error)));
socket.on('close', () => {
  state.hold = 'closed';
  state.closedAt = Date.now();
});
setInterval(() => console.log(JSON.stringify(state)), 500);
const finish = () => process.exit(0);
process.stdin.on('end', finish).resume();
process.on('SIGTERM', finish);
setTimeout(finish, 600_000);
