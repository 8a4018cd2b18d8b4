/**
 * The page that every program of the bookstore serves: its counters for people at `/`, for programs at `/raw`,
 * and the three health endpoints. The counters are also printed as one JSON line a second, for `kubectl logs`.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';

export type Counters = Record<string, number>;

export type Route = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

export interface PageOptions {
  readonly title: string;
  readonly counters: Counters;
  readonly port?: number;
  /** Further routes by `METHOD /path`; a path that ends with `*` matches by prefix. */
  readonly routes?: Readonly<Record<string, Route>>;
  readonly colour?: string;
}

/** Serves until SIGTERM, then lets open requests finish. */
export function serveCounters(options: PageOptions): Server {
  const { title, counters, routes = {}, port = 14001 } = options;
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? '/', 'http://page').pathname;
    const route = findRoute(routes, request.method ?? 'GET', path) ?? pages(title, counters, options.colour)[path];
    if (route === undefined) {
      response.writeHead(404).end(`${title} has no ${path}\n`);
      return;
    }
    Promise.resolve(route(request, response)).catch((error: unknown) => {
      console.error(JSON.stringify({ level: 'error', title, path, error: String(error) }));
      if (!response.headersSent) response.writeHead(500);
      response.end();
    });
  });
  server.listen(port, '::');
  const ticker = setInterval(() => console.log(JSON.stringify({ app: title, ...counters })), 1000);
  process.on('SIGTERM', () => {
    clearInterval(ticker);
    server.close(() => process.exit(0));
    server.closeIdleConnections();
  });
  return server;
}

function findRoute(routes: Readonly<Record<string, Route>>, method: string, path: string): Route | undefined {
  const exact = routes[`${method} ${path}`];
  if (exact !== undefined) return exact;
  for (const [pattern, route] of Object.entries(routes)) {
    if (pattern.endsWith('*') && `${method} ${path}`.startsWith(pattern.slice(0, -1))) return route;
  }
  return undefined;
}

function pages(title: string, counters: Counters, colour = '#333'): Record<string, Route> {
  const ok: Route = (_request, response) => void response.writeHead(200).end('OK\n');
  return {
    '/': (_request, response) => {
      const rows = Object.entries(counters).map(([name, value]) => `<tr><td>${name}</td><td>${value}</td></tr>`);
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' });
      response.end(
        `<!doctype html><meta http-equiv="refresh" content="1"><title>${title}</title>` +
          `<body style="font:16px sans-serif;color:${colour}"><h1>${title}</h1><table>${rows.join('')}</table></body>\n`,
      );
    },
    '/raw': (_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(`${JSON.stringify(counters)}\n`);
    },
    '/liveness': ok,
    '/readiness': ok,
    '/startup': ok,
  };
}
