import { readFileSync } from 'node:fs';
import ssh2, { type ConnectConfig, type SFTPWrapper } from 'ssh2';
import { eventually } from './eventually.ts';
import type { Login } from './openssh-client.ts';

const CONNECT_TIMEOUT_MS = 20_000;
/** What one WRITE carries; servers take at least 32 KiB. */
const WRITE_BYTES = 32 * 1024;
const WRITES_IN_FLIGHT = 8;

/** The server's answer to a request: its status and what it said. */
export class SftpStatusError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.name = 'SftpStatusError';
    this.status = status;
  }
}

/** For `assert.rejects`: the server's answer, with a reason like this. */
export function refusedWith(reason: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof SftpStatusError && reason.test(error.message);
}

/** The connection is gone: what was not answered is unknown. */
export class ConnectionLostError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ConnectionLostError';
  }
}

/** A client that opens, writes and closes when the test says so, many of them in one process. */
export class SftpTestClient {
  readonly #client: InstanceType<typeof ssh2.Client>;
  readonly #sftp: SFTPWrapper;
  readonly #lost: Promise<never>;

  private constructor(client: InstanceType<typeof ssh2.Client>, sftp: SFTPWrapper, lost: Promise<never>) {
    this.#client = client;
    this.#sftp = sftp;
    this.#lost = lost;
  }

  /** @throws {ConnectionLostError} when the server cannot be reached or refuses the login. */
  static async connect(login: Login): Promise<SftpTestClient> {
    const client = new ssh2.Client();
    const lost = Promise.withResolvers<never>();
    lost.promise.catch(() => undefined);
    client.on('error', (error) => lost.reject(new ConnectionLostError(error.message)));
    client.on('close', () => lost.reject(new ConnectionLostError('the connection was closed')));
    const { host, port, username, credential } = login;
    const secret: ConnectConfig = 'keyFile' in credential ? { privateKey: readFileSync(credential.keyFile) } : { password: credential.password };
    const ready = Promise.withResolvers<SFTPWrapper>();
    client.on('ready', () => client.sftp((error, sftp) => (error === undefined ? ready.resolve(sftp) : ready.reject(new ConnectionLostError(error.message)))));
    client.connect({ host, port, username, ...secret, readyTimeout: CONNECT_TIMEOUT_MS });
    try {
      return new SftpTestClient(client, await Promise.race([ready.promise, lost.promise]), lost.promise);
    } catch (error) {
      client.destroy();
      throw error;
    }
  }

  /** Tries until a server lets them in, that may not have heard of its user yet. @throws {Error} when it does not in time. */
  static connectEventually(login: Login, withinMs = 30_000): Promise<SftpTestClient> {
    return eventually(`a login of ${login.username}`, () => SftpTestClient.connect(login).catch(ifLost), withinMs);
  }

  /** Resolves when the connection is gone, whoever ended it. */
  get ended(): Promise<void> {
    return this.#lost.catch(() => undefined);
  }

  /** `flags` as ssh2 takes them: `w` truncates, `wx` is exclusive, `r+`-like bits as a number. */
  open(path: string, flags: 'r' | 'w' | 'wx' | number): Promise<Buffer> {
    return this.#call((done) => this.#sftp.open(path, flags as 'r', {}, done));
  }

  /** Writes all of it, a few requests at a time. */
  async write(handle: Buffer, content: Buffer, offset = 0): Promise<void> {
    let next = 0;
    const work = async () => {
      while (next < content.length) {
        const from = next;
        next = Math.min(content.length, next + WRITE_BYTES);
        const length = next - from;
        await this.#call<void>((done) => this.#sftp.write(handle, content, from, length, offset + from, (error) => done(error, undefined)));
      }
    };
    await Promise.all(Array.from({ length: WRITES_IN_FLIGHT }, work));
  }

  close(handle: Buffer): Promise<void> {
    return this.#void((done) => this.#sftp.close(handle, done));
  }

  async put(path: string, content: Buffer): Promise<void> {
    const handle = await this.open(path, 'w');
    await this.write(handle, content);
    await this.close(handle);
  }

  get(path: string): Promise<Buffer> {
    return this.#call((done) => this.#sftp.readFile(path, done));
  }

  /** At most so many bytes; empty at the end of the file. */
  read(handle: Buffer, offset: number, length: number): Promise<Buffer> {
    const buffer = Buffer.alloc(length);
    return this.#call<Buffer>((done) =>
      this.#sftp.read(handle, buffer, 0, length, offset, (error, bytesRead) => {
        // Status 1 is the end of the file.
        if (error !== undefined && error !== null && !('code' in error && error.code === 1)) done(error, buffer);
        else done(undefined, buffer.subarray(0, error ? 0 : bytesRead));
      }),
    );
  }

  /** `undefined` when there is no such file. */
  async sizeOf(path: string): Promise<number | undefined> {
    try {
      return (await this.#call<{ size: number }>((done) => this.#sftp.stat(path, done))).size;
    } catch (error) {
      if (error instanceof SftpStatusError && error.status === 2) return undefined;
      throw error;
    }
  }

  async list(path: string): Promise<ReadonlyMap<string, number>> {
    const entries = await this.#call<readonly { filename: string; attrs: { size: number } }[]>((done) => this.#sftp.readdir(path, done));
    return new Map(entries.map((entry) => [entry.filename, entry.attrs.size]));
  }

  remove(path: string): Promise<void> {
    return this.#void((done) => this.#sftp.unlink(path, done));
  }

  rename(from: string, to: string): Promise<void> {
    return this.#void((done) => this.#sftp.rename(from, to, done));
  }

  makeDirectory(path: string): Promise<void> {
    return this.#void((done) => this.#sftp.mkdir(path, done));
  }

  removeDirectory(path: string): Promise<void> {
    return this.#void((done) => this.#sftp.rmdir(path, done));
  }

  setModifiedAt(path: string, seconds: number): Promise<void> {
    return this.#void((done) => this.#sftp.utimes(path, seconds, seconds, done));
  }

  /** Without saying goodbye, as when a network drops. */
  destroy(): void {
    this.#client.destroy();
  }

  end(): void {
    this.#client.end();
  }

  #void(start: (done: (error?: Error | null) => void) => void): Promise<void> {
    return this.#call<void>((done) => start((error) => done(error, undefined)));
  }

  #call<Result>(start: (done: (error: Error | null | undefined, result: Result) => void) => void): Promise<Result> {
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    try {
      start((error, result) => (error ? reject(toStatus(error)) : resolve(result)));
    } catch (error) {
      reject(new ConnectionLostError(String(error)));
    }
    return Promise.race([promise, this.#lost]);
  }
}

/** Whether a login is let in now. */
export async function letsIn(login: Login): Promise<boolean> {
  const client = await SftpTestClient.connect(login).catch(ifLost);
  client?.end();
  return client !== undefined;
}

function ifLost(error: unknown): undefined {
  if (!(error instanceof ConnectionLostError)) throw error;
}

function toStatus(error: Error): Error {
  const code = 'code' in error && typeof error.code === 'number' ? error.code : undefined;
  return code === undefined ? new ConnectionLostError(error.message) : new SftpStatusError(code, error.message);
}

/** `SSH_FXF_*` for a reopen that keeps what is there, as clients resume: WRITE | CREAT. */
export const RESUME_FLAGS = 0x2 | 0x8;
