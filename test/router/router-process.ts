import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export interface ToRouter {
  readonly messageId: string;
  readonly body: string;
  readonly deliveryCount: number;
}
type FromRouter = { readonly ready: true } | { readonly messageId: string; readonly settlement: string };

interface Locked {
  readonly body: string;
  deliveryCount: number;
}

/** A queue with peek-lock, and a router process on it. What a process has not settled when it dies comes again to the next one. */
export interface RouterProcess {
  readonly pending: ReadonlySet<string>;
  readonly deaths: number;
  publish(messageId: string, body: string): void;
  /** A new process; what is pending comes to it again. */
  start(failpoints: string): Promise<void>;
  /** Resolves when the process has died. */
  died(): Promise<void>;
  stop(): Promise<void>;
}

export function createRouterProcess(props: { readonly databaseUrl: string; readonly endpointId: number }): RouterProcess {
  const messages = new Map<string, Locked>();
  let child: ChildProcess | undefined;
  let deaths = 0;

  const send = (messageId: string, message: Locked): void => {
    if (child?.connected !== true) return;
    message.deliveryCount += 1;
    const sent: ToRouter = { messageId, body: message.body, deliveryCount: message.deliveryCount };
    child.send(sent, (error) => {
      if (error !== null) child?.kill('SIGKILL');
    });
  };
  const stop = async (): Promise<void> => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  };
  return {
    get pending() {
      return new Set(messages.keys());
    },
    get deaths() {
      return deaths;
    },
    publish(messageId, body) {
      const message = { body, deliveryCount: 0 };
      messages.set(messageId, message);
      send(messageId, message);
    },
    async start(failpoints) {
      await stop();
      const started = fork(fileURLToPath(new URL('./router-process-main.ts', import.meta.url)), [props.databaseUrl, String(props.endpointId), failpoints]);
      started.on('error', () => started.kill('SIGKILL'));
      const ready = Promise.withResolvers<void>();
      started.on('exit', () => {
        deaths += 1;
        ready.reject(new Error('the router process ended before it was ready'));
      });
      started.on('message', (message: FromRouter) => {
        if ('ready' in message) return ready.resolve();
        if (message.settlement === 'abandon') {
          const again = messages.get(message.messageId);
          if (again !== undefined) send(message.messageId, again);
          return;
        }
        messages.delete(message.messageId);
      });
      await ready.promise;
      child = started;
      for (const [messageId, message] of messages) send(messageId, message);
    },
    async died() {
      if (child !== undefined && child.exitCode === null && child.signalCode === null) await once(child, 'exit', { signal: AbortSignal.timeout(15_000) });
    },
    stop,
  };
}
