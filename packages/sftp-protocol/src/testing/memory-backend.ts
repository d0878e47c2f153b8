import { baseName, parentPath, parseVirtualPath, ROOT_PATH, type VirtualPath } from '@skiff/model/virtual-path';
import type { FileAttributes, ListedEntry, OpenDirectory, OpenFile, OpenFlags, SftpBackend } from '../backend.ts';
import { SftpError, SftpStatus } from '../sftp-error.ts';

const FILE_MODE = 0o100644;
const DIRECTORY_MODE = 0o040755;

/** Content that grows by doubling; holes are zero. */
class Content {
  bytes = Buffer.alloc(0);
  sizeBytes = 0;

  put(offset: number, part: Buffer): void {
    const end = offset + part.length;
    if (end > this.bytes.length) {
      const grown = Buffer.alloc(Math.max(end, this.bytes.length * 2));
      this.bytes.copy(grown);
      this.bytes = grown;
    }
    part.copy(this.bytes, offset);
    this.sizeBytes = Math.max(this.sizeBytes, end);
  }
}

/** A file tree in memory for this package's tests; what was called is in `calls`. */
export class MemoryBackend implements SftpBackend {
  readonly calls: string[] = [];
  readonly #files = new Map<VirtualPath, Content>();
  readonly #directories = new Set<VirtualPath>([ROOT_PATH]);
  ended = 0;

  content(path: string): Buffer | undefined {
    const file = this.#files.get(parseVirtualPath(path));
    return file?.bytes.subarray(0, file.sizeBytes);
  }

  put(path: string, bytes: Buffer): void {
    const content = new Content();
    content.put(0, bytes);
    this.#files.set(parseVirtualPath(path), content);
  }

  async open(path: VirtualPath, flags: OpenFlags, _attributes: FileAttributes): Promise<OpenFile> {
    this.calls.push(`open ${path}`);
    let content = this.#files.get(path);
    if (content === undefined || flags.truncate) {
      if (content === undefined && !flags.create) throw new SftpError(SftpStatus.noSuchFile, 'no such file');
      content = new Content();
      this.#files.set(path, content);
    }
    return this.#openFile(path, content);
  }

  #openFile(path: VirtualPath, content: Content): OpenFile {
    return {
      write: (offset, parts) => {
        let at = offset;
        for (const part of parts) {
          content.put(at, part);
          at += part.length;
        }
      },
      read: async (offset, length) => {
        const bytes = content.bytes.subarray(Math.min(offset, content.sizeBytes), Math.min(offset + length, content.sizeBytes));
        return bytes.length === 0 ? undefined : { parts: [bytes], sizeBytes: bytes.length };
      },
      stat: async () => attributesOf(content),
      setStat: async () => {},
      close: async () => void this.calls.push(`close ${path}`),
      abandon: () => void this.calls.push(`abandon ${path}`),
    };
  }

  async openDirectory(path: VirtualPath): Promise<OpenDirectory> {
    if (!this.#directories.has(path)) throw new SftpError(SftpStatus.noSuchFile, 'no such directory');
    const entries: ListedEntry[] = [
      ...[...this.#directories]
        .filter((name) => name !== ROOT_PATH && parentPath(name) === path)
        .map((name) => ({ name: baseName(name), attributes: { mode: DIRECTORY_MODE } })),
      ...[...this.#files].filter(([name]) => parentPath(name) === path).map(([name, content]) => ({ name: baseName(name), attributes: attributesOf(content) })),
    ];
    const chunks = [entries];
    return { next: async () => chunks.shift(), close: () => void this.calls.push(`closedir ${path}`) };
  }

  async stat(path: VirtualPath): Promise<FileAttributes> {
    if (this.#directories.has(path)) return { mode: DIRECTORY_MODE, modifiedAt: 0 };
    const content = this.#files.get(path);
    if (content === undefined) throw new SftpError(SftpStatus.noSuchFile, 'no such file');
    return attributesOf(content);
  }

  async setStat(): Promise<void> {}

  async remove(path: VirtualPath): Promise<void> {
    if (!this.#files.delete(path)) throw new SftpError(SftpStatus.noSuchFile, 'no such file');
  }

  async rename(source: VirtualPath, target: VirtualPath, { replace }: { readonly replace: boolean }): Promise<void> {
    const content = this.#files.get(source);
    if (content === undefined) throw new SftpError(SftpStatus.noSuchFile, 'no such file');
    if (!replace && this.#files.has(target)) throw new SftpError(SftpStatus.failure, 'target exists');
    this.#files.delete(source);
    this.#files.set(target, content);
  }

  async makeDirectory(path: VirtualPath): Promise<void> {
    this.#directories.add(path);
  }

  async removeDirectory(path: VirtualPath): Promise<void> {
    if (!this.#directories.delete(path)) throw new SftpError(SftpStatus.noSuchFile, 'no such directory');
  }

  end(): void {
    this.ended++;
  }
}

function attributesOf(content: Content): FileAttributes {
  return { sizeBytes: content.sizeBytes, mode: FILE_MODE, modifiedAt: 0 };
}
