// An HTTP server that names its pod. On SIGTERM it exits at once, as many applications do. GET /slow?ms=N answers after N ms.
import { createServer } from 'node:http';

const port = Number(process.argv[2] ?? 8080);
let served = 0;
createServer((request, response) => {
  const url = new URL(request.url, 'http://server');
  const answer = () => {
    served += 1;
    // What an application might forge: the mesh must not let it through.
    response.setHeader('x-osm-denied', 'forged-by-the-application');
    response.setHeader('x-osm-not-sent', 'forged');
    response.writeHead(url.pathname === '/teapot' ? 418 : 200, { 'content-type': 'text/plain' });
    response.end(
      `${process.env.POD_NAME ?? 'server'} ${request.method} ${url.pathname} secret-of-the-application ${served}\n`,
    );
  };
  const ms = Number(url.searchParams.get('ms') ?? 0);
  if (ms > 0) setTimeout(answer, ms);
  else answer();
}).listen(port, '::', () => console.log(`listening on ${port}`));
process.on('SIGTERM', () => process.exit(0));
