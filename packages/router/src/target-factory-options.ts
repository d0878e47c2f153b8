import type { OpenEventFile } from '@skiff/messaging/delivery-target';
import type { TokenCredential } from '@skiff/runtime/azure-credential';
import type { Logger } from '@skiff/runtime/logger';
import type { SecretReader } from './secret-reader.ts';

export interface TargetFactoryOptions {
  /** Which loopback, private and special-purpose addresses targets may have (see the address guard). */
  readonly addresses: { readonly allow: readonly string[]; readonly denyPrivate?: boolean };
  /** Such as `skiff/1.2.3`. */
  readonly userAgent: string;
  /** Attempts, and so connections, at a time per target. */
  readonly concurrency: number;
  /** Certificates (PEM) to trust in place of the system's. */
  readonly ca?: string;
  /** Without it, targets that name secrets are unusable. */
  readonly secrets?: SecretReader;
  /** The router's own identity. Without it, targets that ask for it are unusable. */
  readonly azure?: TokenCredential;
  readonly logger: Logger;
  /** Without it, targets that send files are unusable. */
  readonly openFile?: OpenEventFile;
}

/** A description that no adapter can serve here. */
export class UnusableTargetError extends Error {
  readonly code = 'UnusableTarget';
  constructor(name: string, reason: string) {
    super(`target ${name}: ${reason}`);
    this.name = 'UnusableTargetError';
  }
}
