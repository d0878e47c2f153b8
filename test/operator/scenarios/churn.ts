import { setTimeout as sleep } from 'node:timers/promises';
import { hashPassword } from '@skiff/credentials/password-hash';
import type { KubeClient } from '@skiff/kube/kube-client';
import { KubeError } from '@skiff/kube/kube-error';
import { EventRoutes, type ResourceType, Secrets, SftpEndpoints, SftpUsers } from '@skiff/kube/resource-type';
import { Secret } from '@skiff/runtime/secret';
import type { Random } from '../../support/random.ts';
import { endpointManifest, type NamedManifest, routeManifest, secretManifest, userManifest } from '../manifests.ts';

const NAMES = 60;
const ENDPOINTS = 4;
const PASSWORDS = 3;
const CALL_TIMEOUT_MS = 20_000;

export interface Churn {
  /** Changes that the API server took. */
  readonly changes: () => number;
  stop(): Promise<void>;
}

export interface ChurnProps {
  readonly client: KubeClient;
  readonly random: Random;
  readonly namespaces: readonly [string, string];
  /** Between two changes, ms. */
  readonly pauseMs: number;
}

/** Makes, changes and deletes endpoints, users, routes and Secrets in two namespaces until it is stopped. */
export async function startChurn({ client, random, namespaces, pauseMs }: ChurnProps): Promise<Churn> {
  const hashes = await Promise.all(Array.from({ length: PASSWORDS }, (_, index) => hashPassword(new Secret(`password ${index}`))));
  const [home] = namespaces;
  const stop = new AbortController();
  let changes = 0;
  const next = (): (() => Promise<unknown>) => {
    const namespace = random.pick(namespaces);
    const index = random.integer(0, NAMES - 1);
    const dice = random.next();
    const options = () => ({ signal: AbortSignal.timeout(CALL_TIMEOUT_MS) });
    const put = (type: ResourceType, manifest: NamedManifest) => () =>
      client.mergePatch(type, manifest.metadata, { spec: manifest.spec }, options()).catch(createIfMissing(type, manifest));
    const createIfMissing = (type: ResourceType, manifest: NamedManifest) => (error: unknown) => {
      if (error instanceof KubeError && error.code === 'notFound') return client.create(type, manifest, options());
      throw error;
    };
    const remove =
      (type: ResourceType, name: string, where = namespace) =>
      () =>
        client.delete(type, { namespace: where, name }, options());
    if (dice < 0.5) return put(SftpUsers, userManifest(namespace, `u${index}`, userSpec(random, home, index)));
    if (dice < 0.7) return remove(SftpUsers, `u${index}`);
    if (dice < 0.78)
      return put(EventRoutes, routeManifest(namespace, `r${index % 10}`, { endpointRef: endpointRef(random, home), match: { usernames: [`u${index}`] } }));
    if (dice < 0.82) return remove(EventRoutes, `r${index % 10}`);
    if (dice < 0.92) {
      const hash = { hash: random.next() < 0.9 ? random.pick(hashes) : 'no hash' };
      const secret = secretManifest(namespace, `password${index % 5}`, hash);
      return () => client.mergePatch(Secrets, secret.metadata, { stringData: hash }, options()).catch(createIfMissing(Secrets, secret));
    }
    if (dice < 0.94) return remove(Secrets, `password${index % 5}`);
    // The endpoint `main` stays, so that there is always somebody to serve.
    const name = `e${random.integer(1, ENDPOINTS - 1)}`;
    if (dice < 0.98)
      return put(
        SftpEndpoints,
        endpointManifest(home, name, { replicas: random.integer(1, 2), allowedUsers: { namespaces: { from: random.pick(['Same', 'All']) } } }),
      );
    return remove(SftpEndpoints, name, home);
  };
  const run = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      try {
        await next()();
        changes++;
      } catch (error) {
        // Gone, there already, or refused since a name or an endpoint of a user never changes: all of that is part of it.
        if (!(error instanceof KubeError) || !['notFound', 'alreadyExists', 'invalid', 'conflict'].includes(error.code)) throw error;
      }
      await sleep(pauseMs);
    }
  };
  const running = run();
  running.catch(() => undefined);
  return {
    changes: () => changes,
    async stop() {
      stop.abort();
      await running;
    },
  };
}

function userSpec(random: Random, home: string, index: number): object {
  const password = { hashSecretRef: { name: `password${index % 5}`, key: 'hash' } };
  return {
    // Never changes, so it must be the same each time.
    endpointRef: { name: index % 6 === 0 ? `e${(index % 3) + 1}` : 'main', namespace: home },
    // Some want the same name.
    username: index % 10 === 9 ? 'shared' : `u${index % 50}`,
    suspend: random.next() < 0.3,
    ...(random.next() < 0.3 ? { password } : { password: null }),
    ...(random.next() < 0.5 ? { allowedSourceRanges: [`192.0.2.${random.integer(0, 255)}/32`] } : { allowedSourceRanges: null }),
  };
}

function endpointRef(random: Random, home: string): object {
  return { name: random.pick(['main', 'e1', 'nobody']), namespace: home };
}
