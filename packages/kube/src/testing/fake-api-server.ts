import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { isRecord } from '@skiff/model/is-record';
import { isKubeObject, type KubeObject, keyOf } from '../kube-object.ts';
import { collectionPath, type ResourceType } from '../resource-type.ts';
import { mergeApplied } from './merge-applied.ts';

/** What a scripted answer does with one request in place of the usual answer. */
export type Fault = (request: IncomingMessage, response: ServerResponse) => void;
export type RequestKind = 'list' | 'watch' | 'get' | 'write';

/** A Kubernetes API of one process, over HTTP, with faults on order: for tests of what talks to it. */
export interface FakeApiServer {
  readonly kubeconfig: string;
  /** All requests so far, as `METHOD path?query`. */
  readonly requests: readonly string[];
  /** Stores an object and tells the watches. */
  put(type: ResourceType, object: KubeObject): KubeObject;
  remove(type: ResourceType, ref: { readonly namespace?: string; readonly name: string }): void;
  get(type: ResourceType, key: string): KubeObject | undefined;
  /** The next request of this kind meets the fault; several wait in line. */
  inject(kind: RequestKind, ...faults: readonly Fault[]): void;
  /** Forgets all history: a watch from an older version gets 410. */
  compact(): void;
  /** Ends all open watches by closing their connections. */
  cutWatches(): void;
  /** Open watches stay open and get nothing any more. */
  muteWatches(): void;
  readonly openWatches: number;
  bookmark(): void;
  stop(): Promise<void>;
}

interface Change {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: KubeObject;
  readonly version: number;
}
interface Watch {
  readonly collection: string;
  readonly namespace: string | undefined;
  readonly response: ServerResponse;
}

export async function startFakeApiServer(): Promise<FakeApiServer> {
  const state = new State();
  const server = createServer((request, response) => {
    state.handle(request, response).catch((error: unknown) => refuse(response, 500, 'InternalError', String(error)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return Object.assign(state, {
    kubeconfig: JSON.stringify({
      clusters: [{ name: 'fake', cluster: { server: `http://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true } }],
      users: [{ name: 'fake', user: {} }],
      contexts: [{ name: 'fake', context: { cluster: 'fake', user: 'fake' } }],
      'current-context': 'fake',
    }),
    stop: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  });
}

class State {
  readonly requests: string[] = [];
  readonly #objects = new Map<string, Map<string, KubeObject>>();
  readonly #history = new Map<string, Change[]>();
  readonly #faults: Record<RequestKind, Fault[]> = { list: [], watch: [], get: [], write: [] };
  #watches = new Set<Watch>();
  #muted = new Set<Watch>();
  #version = 1;
  #compacted = 0;

  get openWatches(): number {
    return this.#watches.size + this.#muted.size;
  }

  put(type: ResourceType, object: KubeObject): KubeObject {
    return this.#store(collectionPath(type), object);
  }

  remove(type: ResourceType, ref: { readonly namespace?: string; readonly name: string }): void {
    this.#drop(collectionPath(type), keyOf(ref));
  }

  get(type: ResourceType, key: string): KubeObject | undefined {
    return this.#objects.get(collectionPath(type))?.get(key);
  }

  inject(kind: RequestKind, ...faults: readonly Fault[]): void {
    this.#faults[kind].push(...faults);
  }

  compact(): void {
    this.#version++;
    this.#compacted = this.#version;
    this.#history.clear();
  }

  cutWatches(): void {
    for (const { response } of [...this.#watches, ...this.#muted]) response.socket?.destroy();
  }

  muteWatches(): void {
    for (const watch of this.#watches) this.#muted.add(watch);
    this.#watches = new Set();
  }

  bookmark(): void {
    for (const { response } of this.#watches) send(response, 'BOOKMARK', { metadata: { resourceVersion: String(this.#version) } });
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => response.destroy());
    this.requests.push(`${request.method} ${request.url}`);
    const url = new URL(request.url ?? '/', 'http://fake');
    const parts = /^(\/api\/v1|\/apis\/[^/]+\/[^/]+)(?:\/namespaces\/([^/]+)(?=\/))?\/([a-z]+)(?:\/([^/]+))?(?:\/(status))?$/.exec(url.pathname);
    if (parts === null) return refuse(response, 404, 'NotFound', url.pathname);
    const [, root, namespace, plural, name, subresource] = parts;
    const target = { collection: `${root}/${plural}`, namespace, name, status: subresource === 'status' };
    const kind = kindOf(request, name, url);
    const fault = this.#faults[kind].shift();
    if (fault !== undefined) return fault(request, response);
    switch (kind) {
      case 'list':
        return this.#list(target, url, response);
      case 'watch':
        return this.#watch(target, url, response);
      case 'get':
        return this.#get(target, response);
      case 'write':
        return this.#write(target, request, response);
    }
  }

  #list(target: Target, url: URL, response: ServerResponse): void {
    const limit = Number(url.searchParams.get('limit') ?? 0) || Number.POSITIVE_INFINITY;
    const [version, offset] = (url.searchParams.get('continue') ?? `${this.#version}:0`).split(':').map(Number);
    if (version === undefined || offset === undefined || version < this.#compacted) {
      refuse(response, 410, 'Expired', 'the continue token is too old');
      return;
    }
    const all = [...(this.#objects.get(target.collection)?.values() ?? [])].filter((object) => isIn(object, target.namespace));
    const items = all.slice(offset, offset + limit).map(({ apiVersion: _, kind: __, ...item }) => item);
    const token = offset + limit < all.length ? `${version}:${offset + limit}` : undefined;
    answer(response, 200, { metadata: { resourceVersion: String(version), continue: token }, items });
  }

  #watch(target: Target, url: URL, response: ServerResponse): void {
    const from = Number(url.searchParams.get('resourceVersion'));
    response.writeHead(200, { 'Content-Type': 'application/json' });
    response.flushHeaders();
    if (from < this.#compacted) {
      send(response, 'ERROR', { kind: 'Status', code: 410, reason: 'Expired', message: 'too old resource version' });
      response.end();
      return;
    }
    const watch = { collection: target.collection, namespace: target.namespace, response };
    for (const change of this.#history.get(target.collection) ?? []) if (change.version > from) tell(watch, change);
    this.#watches.add(watch);
    const timer = setTimeout(() => response.end(), Number(url.searchParams.get('timeoutSeconds') ?? 300) * 1000);
    response.on('close', () => {
      clearTimeout(timer);
      this.#watches.delete(watch);
      this.#muted.delete(watch);
    });
  }

  #get(target: Target, response: ServerResponse): void {
    const object = this.#objects.get(target.collection)?.get(keyOf({ ...target, name: target.name ?? '' }));
    if (object === undefined) refuse(response, 404, 'NotFound', `${target.name} not found`);
    else answer(response, 200, object);
  }

  async #write(target: Target, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) if (Buffer.isBuffer(chunk)) chunks.push(chunk);
    const body: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8') || '{}');
    const name = target.name ?? (isRecord(body) && isRecord(body.metadata) ? String(body.metadata.name) : '');
    const key = keyOf({ namespace: target.namespace, name });
    const before = this.#objects.get(target.collection)?.get(key);
    if (request.method === 'DELETE') {
      if (before === undefined) return refuse(response, 404, 'NotFound', key);
      this.#drop(target.collection, key);
      return answer(response, 200, { kind: 'Status', status: 'Success' });
    }
    if (request.method === 'PATCH') {
      if (before === undefined && target.status) return refuse(response, 404, 'NotFound', key);
      const merged = mergeApplied(before, body);
      if (!isKubeObject(merged)) return refuse(response, 422, 'Invalid', 'not an object');
      return answer(response, 200, this.#store(target.collection, merged));
    }
    if (!isKubeObject(body)) return refuse(response, 422, 'Invalid', 'not an object');
    if (request.method === 'POST' && before !== undefined) return refuse(response, 409, 'AlreadyExists', key);
    if (request.method === 'PUT' && before === undefined) return refuse(response, 404, 'NotFound', key);
    const expected = body.metadata.resourceVersion;
    if (expected !== undefined && expected !== before?.metadata.resourceVersion) return refuse(response, 409, 'Conflict', key);
    return answer(response, 200, this.#store(target.collection, body));
  }

  /** As the real one, it takes a write that changes nothing for none. */
  #store(collection: string, object: KubeObject): KubeObject {
    const objects = this.#objects.get(collection) ?? new Map<string, KubeObject>();
    this.#objects.set(collection, objects);
    const key = keyOf(object.metadata);
    const before = objects.get(key);
    if (before !== undefined && sameContent(before, object)) return before;
    this.#version++;
    const uid = before?.metadata.uid ?? object.metadata.uid ?? `uid-${this.#version}`;
    const stored = { ...object, metadata: { ...object.metadata, uid, resourceVersion: String(this.#version) } };
    objects.set(key, stored);
    this.#announce(collection, { type: before === undefined ? 'ADDED' : 'MODIFIED', object: stored, version: this.#version });
    return stored;
  }

  #drop(collection: string, key: string): void {
    const object = this.#objects.get(collection)?.get(key);
    if (object === undefined) return;
    this.#objects.get(collection)?.delete(key);
    this.#version++;
    const last = { ...object, metadata: { ...object.metadata, resourceVersion: String(this.#version) } };
    this.#announce(collection, { type: 'DELETED', object: last, version: this.#version });
  }

  #announce(collection: string, change: Change): void {
    const history = this.#history.get(collection) ?? [];
    this.#history.set(collection, history);
    history.push(change);
    for (const watch of this.#watches) if (watch.collection === collection) tell(watch, change);
  }
}

interface Target {
  readonly collection: string;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly status: boolean;
}

function kindOf(request: IncomingMessage, name: string | undefined, url: URL): RequestKind {
  if (request.method !== 'GET') return 'write';
  if (name !== undefined) return 'get';
  return url.searchParams.get('watch') === 'true' ? 'watch' : 'list';
}

function isIn(object: KubeObject, namespace: string | undefined): boolean {
  return namespace === undefined || object.metadata.namespace === namespace;
}

function sameContent(a: KubeObject, b: KubeObject): boolean {
  const plain = (object: KubeObject) => JSON.stringify({ ...object, metadata: { ...object.metadata, resourceVersion: '', uid: '' } });
  return plain(a) === plain(b);
}

function tell(watch: Watch, change: Change): void {
  if (isIn(change.object, watch.namespace)) send(watch.response, change.type, change.object);
}

function send(response: ServerResponse, type: string, object: unknown): void {
  response.write(`${JSON.stringify({ type, object })}\n`);
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(body));
}

function refuse(response: ServerResponse, code: number, reason: string, message: string, headers: Readonly<Record<string, string>> = {}): void {
  response.writeHead(code, { 'Content-Type': 'application/json', ...headers });
  response.end(JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message }));
}

/** Faults that tests inject. */
export const faults = {
  /** An error with a Status; `retryAfter` in seconds. */
  status:
    (code: number, reason: string, retryAfter?: number): Fault =>
    (_, response) =>
      refuse(response, code, reason, `scripted ${code}`, retryAfter === undefined ? {} : { 'Retry-After': String(retryAfter) }),
  /** No answer, ever. */
  hang: (): Fault => () => {},
  /** The connection is closed without an answer. */
  reset: (): Fault => (request) => request.socket.destroy(),
  /** 200 and these bytes, then: `end` the answer, `hang`, or `cut` the connection. */
  raw:
    (chunks: readonly (string | Buffer)[], then: 'end' | 'hang' | 'cut'): Fault =>
    async (request, response) => {
      response.writeHead(200, { 'Content-Type': 'application/json' });
      response.flushHeaders();
      for (const chunk of chunks) {
        await new Promise((resolve) => response.write(chunk, resolve));
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      if (then === 'end') response.end();
      if (then === 'cut') request.socket.destroy();
    },
} as const;
