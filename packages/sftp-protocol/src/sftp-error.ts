/** Status codes of draft-ietf-secsh-filexfer-02, section 7. */
export const SftpStatus = {
  ok: 0,
  eof: 1,
  noSuchFile: 2,
  permissionDenied: 3,
  failure: 4,
  badMessage: 5,
  noConnection: 6,
  connectionLost: 7,
  unsupported: 8,
} as const;
export type SftpStatus = (typeof SftpStatus)[keyof typeof SftpStatus];

/** A request that fails with a status; the message goes to the client, so it says what to do and holds no secret. */
export class SftpError extends Error {
  readonly status: SftpStatus;
  constructor(status: SftpStatus, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'SftpError';
    this.status = status;
  }
}
