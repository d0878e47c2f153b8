import { createHash } from 'node:crypto';
import type { Secret } from '@skiff/runtime/secret';
import ssh2, { type ConnectConfig, type SFTPWrapper } from 'ssh2';

export interface SftpClientProps {
  readonly host: string;
  readonly port: number;
  readonly username: string;
  /** OpenSSH form, unencrypted. */
  readonly privateKey: Secret<string>;
  /** For the connection and the login together, ms. */
  readonly timeoutMs: number;
  /** Ends the connection whenever it is aborted. */
  readonly signal: AbortSignal;
}

/** A connection that could not be made or was lost. */
export class SftpClientError extends Error {
  readonly code = 'SftpClientFailed';
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'SftpClientError';
  }
}

/** What the product's own check of a running endpoint needs of an SFTP client. Files are held in memory. */
export interface SftpClient {
  /** `SHA256:…` of the host key that the server has shown. */
  readonly hostKeyFingerprint: string;
  put(path: string, content: Buffer): Promise<void>;
  get(path: string): Promise<Buffer>;
  remove(path: string): Promise<void>;
  /** Resolves when the connection has ended, whoever ended it. */
  readonly closed: Promise<void>;
  close(): void;
}

/** Connects and logs in by key. The host key is not judged: whoever calls compares the fingerprint. @throws {SftpClientError} */
export async function connectSftp(props: SftpClientProps): Promise<SftpClient> {
  const client = new ssh2.Client();
  const lost = Promise.withResolvers<never>();
  lost.promise.catch(() => undefined);
  client.on('error', (error) => lost.reject(new SftpClientError(error.message, { cause: error })));
  const closed = new Promise<void>((resolve) => client.on('close', () => resolve()));
  client.on('close', () => lost.reject(new SftpClientError('the server ended the connection')));
  const abort = (): void => {
    client.destroy();
    lost.reject(new SftpClientError('aborted', { cause: props.signal.reason }));
  };
  if (props.signal.aborted) abort();
  props.signal.addEventListener('abort', abort, { once: true });
  const close = (): void => {
    props.signal.removeEventListener('abort', abort);
    client.end();
  };
  const timer = setTimeout(() => {
    lost.reject(new SftpClientError(`no session within ${props.timeoutMs} ms`));
    client.destroy();
  }, props.timeoutMs);
  try {
    let hostKeyFingerprint = '';
    const config: ConnectConfig = {
      host: props.host,
      port: props.port,
      username: props.username,
      privateKey: props.privateKey.reveal(),
      hostVerifier: (key: Buffer) => {
        hostKeyFingerprint = `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`;
        return true;
      },
    };
    const sftp = await Promise.race([openSftp(client, config), lost.promise]);
    const until = <Result>(start: (done: (error: Error | null | undefined, result: Result) => void) => void): Promise<Result> => {
      const { promise, resolve, reject } = Promise.withResolvers<Result>();
      start((error, result) => (error ? reject(error) : resolve(result)));
      return Promise.race([promise, lost.promise]);
    };
    return {
      hostKeyFingerprint,
      put: (path, content) => until<void>((done) => sftp.writeFile(path, content, (error) => done(error, undefined))),
      get: (path) => until<Buffer>((done) => sftp.readFile(path, done)),
      remove: (path) => until<void>((done) => sftp.unlink(path, (error) => done(error, undefined))),
      closed,
      close,
    };
  } catch (error) {
    close();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

function openSftp(client: InstanceType<typeof ssh2.Client>, config: ConnectConfig): Promise<SFTPWrapper> {
  const { promise, resolve, reject } = Promise.withResolvers<SFTPWrapper>();
  client.on('ready', () => client.sftp((error, sftp) => (error === undefined ? resolve(sftp) : reject(error))));
  client.connect(config);
  return promise;
}
