import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Logger } from './logger.ts';
import type { Metrics } from './metrics.ts';

/** What still keeps the process from being ready or, once it is, from staying alive; `undefined`: nothing. Must answer at once. */
export type HealthCheck = () => string | undefined;

export interface HealthServerProps {
  /** 0: any free port. */
  readonly port: number;
  readonly host?: string;
  /** By name. All must pass for `/readyz`. */
  readonly ready: Readonly<Record<string, HealthCheck>>;
  /** By name. All must pass for `/healthz`; when one fails, the process is to be killed. Outages of others do not belong here. */
  readonly live?: Readonly<Record<string, HealthCheck>>;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

export interface HealthServer {
  readonly port: number;
  /** Stops and drops connections. */
  stop(): Promise<void>;
}

/** A kubelet and a few Prometheus servers. */
const MAX_CONNECTIONS = 32;
const REQUEST_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_MS = 60_000;
const MAX_HEADER_BYTES = 8 * 1024;

/**
 * Serves `/healthz`, `/readyz` and `/metrics` on a port of its own. Answers 200 or 503 with one line per failing check; requests are
 * not logged.
 *
 * @throws when the port cannot be had.
 */
export async function startHealthServer(props: HealthServerProps): Promise<HealthServer> {
  const server = createServer({
    maxHeaderSize: MAX_HEADER_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    headersTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
  });
  const listening = Promise.withResolvers<void>();
  server.on('error', (error) => {
    listening.reject(error);
    props.logger.error({ err: error }, 'health server failed');
  });
  server.maxConnections = MAX_CONNECTIONS;
  server.on('clientError', (_error, socket) => socket.destroy());
  server.on('request', (request, response) => {
    answer(props, request, response).catch((error: unknown) => {
      props.logger.error({ err: error }, 'health request failed');
      response.destroy();
    });
  });
  server.listen(props.port, props.host, () => listening.resolve());
  await listening.promise;
  return { port: portOf(server), stop: () => stop(server) };
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

async function stop(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeAllConnections();
  await closed;
}

async function answer(props: HealthServerProps, request: IncomingMessage, response: ServerResponse): Promise<void> {
  response.on('error', () => response.destroy());
  // A body is of no use here; it is read away so that the connection can be kept.
  request.resume();
  if (request.method !== 'GET' && request.method !== 'HEAD') return send(response, 405, 'text/plain', 'only GET and HEAD\n');
  switch (new URL(request.url ?? '/', 'http://health').pathname) {
    case '/healthz':
      return sendChecks(response, props.live ?? {});
    case '/readyz':
      return sendChecks(response, props.ready);
    case '/metrics':
      return send(response, 200, props.metrics.contentType, await props.metrics.text());
    default:
      return send(response, 404, 'text/plain', 'there are /healthz, /readyz and /metrics\n');
  }
}

function sendChecks(response: ServerResponse, checks: Readonly<Record<string, HealthCheck>>): void {
  const failing = Object.entries(checks).flatMap(([name, check]) => {
    const problem = check();
    return problem === undefined ? [] : [`${name}: ${problem}\n`];
  });
  send(response, failing.length === 0 ? 200 : 503, 'text/plain', failing.join('') || 'ok\n');
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}
