import { isRecord } from '@skiff/model/is-record';
import { type HttpRequest, HttpTransport } from './http-transport.ts';
import {
  type ApplyOptions,
  type CallOptions,
  type DeleteOptions,
  FIELD_MANAGER,
  type KubeClient,
  type KubePage,
  type ListQuery,
  type Manifest,
  type PageQuery,
  type WatchQuery,
  type WatchStream,
  type WriteOptions,
} from './kube-client.ts';
import type { KubeTarget } from './kube-config.ts';
import { type KubeError, noAnswer, statusError } from './kube-error.ts';
import { isKubeObject, type KubeObject, type ObjectRef } from './kube-object.ts';
import { collectionPath, objectPath, type ResourceType } from './resource-type.ts';
import { watchEvents } from './watch-stream.ts';

const DEFAULT_TIMEOUT_MS = 30_000;
/** The API server answers a watch with headers at once; a first event may be long in coming. */
const WATCH_OPEN_TIMEOUT_MS = 15_000;
const MAX_REFUSAL_BYTES = 65_536;
const APPLY_PATCH = 'application/apply-patch+yaml';

export function createKubeClient(target: KubeTarget): KubeClient {
  return new HttpKubeClient(new HttpTransport(target));
}

type Call = Pick<HttpRequest, 'method' | 'path'> & Partial<Pick<HttpRequest, 'query' | 'contentType'>> & { readonly object?: unknown };

class HttpKubeClient implements KubeClient {
  readonly #transport: HttpTransport;
  constructor(transport: HttpTransport) {
    this.#transport = transport;
  }

  async get(type: ResourceType, ref: ObjectRef, options: CallOptions): Promise<KubeObject> {
    return parseObject(await this.#call({ method: 'GET', path: objectPath(type, ref) }, options));
  }

  async listPage(type: ResourceType, query: PageQuery): Promise<KubePage> {
    const parameters = selection(query);
    if (query.limit > 0) parameters.set('limit', String(query.limit));
    if (query.continueToken !== undefined) parameters.set('continue', query.continueToken);
    return parsePage(type, await this.#call({ method: 'GET', path: collectionPath(type, query.namespace), query: parameters }, query));
  }

  async watch(type: ResourceType, query: WatchQuery): Promise<WatchStream> {
    const parameters = selection(query);
    parameters.set('watch', 'true');
    parameters.set('allowWatchBookmarks', 'true');
    parameters.set('resourceVersion', query.resourceVersion);
    parameters.set('timeoutSeconds', String(Math.ceil(query.watchTimeoutMs / 1000)));
    const response = await this.#transport.open({
      method: 'GET',
      path: collectionPath(type, query.namespace),
      query: parameters,
      timeoutMs: query.timeoutMs ?? WATCH_OPEN_TIMEOUT_MS,
      signal: query.signal,
    });
    if (response.statusCode !== 200) throw await refusal(response);
    return { events: watchEvents(response), close: (error) => response.destroy(error) };
  }

  async create(type: ResourceType, object: Manifest, options: WriteOptions): Promise<KubeObject> {
    return parseObject(await this.#call({ method: 'POST', path: collectionPath(type, namespaceOf(type, object)), query: managed(), object }, options));
  }

  async replace(type: ResourceType, object: Manifest, options: WriteOptions): Promise<KubeObject> {
    return parseObject(await this.#call({ method: 'PUT', path: objectPath(type, manifestRef(type, object)), query: managed(), object }, options));
  }

  apply(type: ResourceType, object: Manifest, options: ApplyOptions): Promise<KubeObject> {
    return this.#apply(objectPath(type, manifestRef(type, object)), object, options);
  }

  applyStatus(type: ResourceType, object: Manifest, options: ApplyOptions): Promise<KubeObject> {
    return this.#apply(objectPath(type, manifestRef(type, object), 'status'), object, options);
  }

  async mergePatch(type: ResourceType, ref: ObjectRef, patch: Readonly<Record<string, unknown>>, options: WriteOptions): Promise<KubeObject> {
    const call: Call = { method: 'PATCH', path: objectPath(type, ref), query: managed(), contentType: 'application/merge-patch+json', object: patch };
    return parseObject(await this.#call(call, options));
  }

  async delete(type: ResourceType, ref: ObjectRef, options: DeleteOptions): Promise<void> {
    const { uid, resourceVersion, propagation } = options;
    const preconditions = uid === undefined && resourceVersion === undefined ? undefined : { uid, resourceVersion };
    const object = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions, propagationPolicy: propagation ?? 'Background' };
    await this.#call({ method: 'DELETE', path: objectPath(type, ref), object }, options);
  }

  async getRaw(path: string, options: CallOptions): Promise<string> {
    return this.#text({ method: 'GET', path }, options);
  }

  close(): void {
    this.#transport.close();
  }

  async #apply(path: string, object: Manifest, options: ApplyOptions): Promise<KubeObject> {
    const query = managed();
    query.set('force', String(options.force ?? true));
    return parseObject(await this.#call({ method: 'PATCH', path, query, contentType: APPLY_PATCH, object }, options));
  }

  async #call(call: Call, options: WriteOptions): Promise<unknown> {
    return parseJson(await this.#text(call, options));
  }

  async #text(call: Call, options: WriteOptions): Promise<string> {
    const { object, ...request } = call;
    const answer = await this.#transport.request({
      ...request,
      ...(object === undefined ? {} : { body: JSON.stringify(object) }),
      timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
      signal: options.signal,
      guard: options.fence === undefined ? undefined : () => options.fence?.assertHeld(),
    });
    if (answer.status < 200 || answer.status > 299) throw statusError(answer.status, parseStatus(answer.body), answer.headers['retry-after']);
    return answer.body;
  }
}

function selection(query: ListQuery): URLSearchParams {
  const parameters = new URLSearchParams();
  if (query.labelSelector !== undefined) parameters.set('labelSelector', query.labelSelector);
  if (query.fieldSelector !== undefined) parameters.set('fieldSelector', query.fieldSelector);
  return parameters;
}

function managed(): URLSearchParams {
  return new URLSearchParams({ fieldManager: FIELD_MANAGER });
}

function namespaceOf(type: ResourceType, object: Manifest): string | undefined {
  return type.namespaced ? object.metadata.namespace : undefined;
}

function manifestRef(type: ResourceType, object: Manifest): ObjectRef {
  return { namespace: namespaceOf(type, object), name: object.metadata.name ?? '' };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw noAnswer('the answer is not JSON', cause);
  }
}

/** An error may come from a proxy in between, as text or HTML. */
function parseStatus(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return { message: text.slice(0, 256) };
  }
}

function parseObject(value: unknown): KubeObject {
  if (!isKubeObject(value)) throw noAnswer('the answer is not an object of Kubernetes');
  return value;
}

/** Items of a list of a built-in type carry neither `apiVersion` nor `kind`. */
function parsePage(type: ResourceType, value: unknown): KubePage {
  const metadata = isRecord(value) ? value.metadata : undefined;
  const items = isRecord(value) ? (value.items ?? []) : undefined;
  if (!isRecord(metadata) || typeof metadata.resourceVersion !== 'string' || !Array.isArray(items)) throw noAnswer('the answer is not a list');
  const token = metadata.continue;
  return {
    items: items.map((item: unknown) => parseObject(isRecord(item) ? { apiVersion: type.apiVersion, kind: type.kind, ...item } : item)),
    resourceVersion: metadata.resourceVersion,
    continueToken: typeof token === 'string' && token !== '' ? token : undefined,
  };
}

/** Body of a refused watch: a short Status. */
async function refusal(response: Awaited<ReturnType<HttpTransport['open']>>): Promise<KubeError> {
  const timer = setTimeout(() => response.destroy(), WATCH_OPEN_TIMEOUT_MS);
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  try {
    for await (const chunk of response) {
      if (!Buffer.isBuffer(chunk)) break;
      sizeBytes += chunk.length;
      if (sizeBytes > MAX_REFUSAL_BYTES) break;
      chunks.push(chunk);
    }
  } catch {
    // The status line has said enough.
  } finally {
    clearTimeout(timer);
    response.destroy();
  }
  return statusError(response.statusCode ?? 0, parseStatus(Buffer.concat(chunks).toString('utf8')), response.headers['retry-after']);
}
