/**
 * Named places where a fault can be injected, as in FreeBSD's fail(9) and etcd's gofail. All are off unless the process was
 * started with `SKIFF_FAILPOINTS`, a list such as `upload.committed=kill;relay.sent=kill@3;upload.committing=sleep:2000`:
 * `kill` ends the process at once (SIGKILL), `stop` suspends it (SIGSTOP), `sleep:MS` waits, `throw` throws; `@N` means
 * from the Nth time on.
 */
export interface Failpoints {
  /** Passes, or does what the failpoint of this name is set to. Costs one property read when none is set. */
  hit(name: FailpointName): Promise<void> | undefined;
}

/** Every failpoint of the program; a name not listed here is refused at start. */
export const FAILPOINT_NAMES = [
  'upload.intent',
  'upload.staged',
  'upload.closing',
  'upload.committing',
  'upload.sending',
  'upload.blobCommitted',
  'upload.committed',
  'relay.claimed',
  'relay.sent',
  'relay.marked',
  'remove.intent',
  'remove.done',
  'rename.intent',
  'rename.copied',
  'rename.sourceRemoved',
  'mkdir.intent',
  'rmdir.intent',
  'renamedir.intent',
  'renamedir.journalled',
  'renamedir.copied',
  'renamedir.sourceRemoved',
  'renamedir.markerMoved',
  'renamedir.moved',
  'router.delivered',
  'router.parked',
] as const;
export type FailpointName = (typeof FAILPOINT_NAMES)[number];

type Action = { readonly kind: 'kill' } | { readonly kind: 'stop' } | { readonly kind: 'throw' } | { readonly kind: 'sleep'; readonly ms: number };

interface Armed {
  readonly action: Action;
  remaining: number;
}

export const noFailpoints: Failpoints = { hit: () => undefined };

/** @throws {RangeError} for a name or an action that does not exist: a misspelt failpoint must not pass a test. */
export function parseFailpoints(text: string | undefined): Failpoints {
  if (text === undefined || text.trim() === '') return noFailpoints;
  const armed = new Map<string, Armed>();
  for (const part of text.split(';')) {
    const match = /^([A-Za-z.]+)=(kill|stop|throw|sleep:(\d{1,6}))(?:@(\d{1,9}))?$/.exec(part.trim());
    if (match === null || !(FAILPOINT_NAMES as readonly string[]).includes(match[1] ?? '')) throw new RangeError(`not a failpoint: ${part}`);
    const [, name = '', word = '', ms, count] = match;
    const action: Action = ms === undefined ? { kind: word as 'kill' | 'stop' | 'throw' } : { kind: 'sleep', ms: Number(ms) };
    armed.set(name, { action, remaining: Number(count ?? 1) });
  }
  return { hit: (name) => run(armed.get(name), name) };
}

function run(armed: Armed | undefined, name: string): Promise<void> | undefined {
  if (armed === undefined || --armed.remaining > 0) return undefined;
  switch (armed.action.kind) {
    case 'kill':
      process.kill(process.pid, 'SIGKILL');
      return new Promise(() => {});
    case 'stop':
      process.kill(process.pid, 'SIGSTOP');
      return undefined;
    case 'throw':
      return Promise.reject(new Error(`failpoint ${name}`));
    case 'sleep': {
      const { ms } = armed.action;
      return new Promise((resolve) => setTimeout(resolve, ms));
    }
  }
}
