import { type Logger, silentLogger } from '@skiff/runtime/logger';
import { Secret } from '@skiff/runtime/secret';
import ssh2 from 'ssh2';
import { createSshListener, type LoginAttempt, type LoginDecision, type SshListener, type SshListenerOptions } from '../ssh-listener/ssh-listener.ts';
import { selfCheck } from '../ssh2-private/self-check.ts';
import { MemoryBackend } from './memory-backend.ts';

export const TEST_PASSWORD = 'correct horse';

/** A private key in OpenSSH's format. */
export function newKey(type: 'ed25519' | 'ecdsa' | 'rsa' = 'ed25519'): { readonly private: string; readonly public: string } {
  // One Ed25519 key in some hundred that ssh2 makes is one that it cannot read: it drops a leading zero.
  for (;;) {
    const pair = generatePair(type);
    if (!(ssh2.utils.parseKey(pair.private) instanceof Error)) return pair;
  }
}

function generatePair(type: 'ed25519' | 'ecdsa' | 'rsa'): { readonly private: string; readonly public: string } {
  if (type === 'rsa') return ssh2.utils.generateKeyPairSync('rsa', { bits: 3072 });
  return type === 'ecdsa' ? ssh2.utils.generateKeyPairSync('ecdsa', { bits: 256 }) : ssh2.utils.generateKeyPairSync('ed25519');
}

export interface TestListener extends AsyncDisposable {
  readonly listener: SshListener;
  readonly backend: MemoryBackend;
  readonly attempts: LoginAttempt[];
}

/** Anybody with {@link TEST_PASSWORD}, or with one of `keys` (second field of authorized_keys), gets in as the name they gave. */
export async function startTestListener(
  options: Partial<SshListenerOptions<string>> & { readonly keys?: readonly string[]; readonly log?: Logger } = {},
): Promise<TestListener> {
  await selfCheck();
  const backend = new MemoryBackend();
  const attempts: LoginAttempt[] = [];
  const listener = createSshListener<string>({
    hostKeys: [new Secret(newKey().private)],
    methods: ['publickey', 'password'],
    authenticate: async (attempt) => {
      attempts.push(attempt);
      return decide(attempt, options.keys ?? []);
    },
    openSession: () => ({ backend }),
    logger: options.log ?? silentLogger,
    ...options,
  });
  await listener.listen(0, '127.0.0.1');
  return { listener, backend, attempts, [Symbol.asyncDispose]: () => listener.close({ graceMs: 0 }) };
}

function decide(attempt: LoginAttempt, keys: readonly string[]): LoginDecision<string> {
  const isKnown = attempt.key !== undefined && keys.includes(attempt.key.blob.toString('base64'));
  const isRight = attempt.password?.reveal() === TEST_PASSWORD;
  return isKnown || isRight ? { kind: 'accept', identity: attempt.username } : { kind: 'deny' };
}
