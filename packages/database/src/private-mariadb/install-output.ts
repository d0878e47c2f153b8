/** What mariadb-install-db says once it has failed: a page of general advice. */
const ADVICE = /^Installation of system tables failed/m;

/** The part of the installer's output that tells why it failed. */
export function causeOfFailure(output: string): string {
  const [cause = ''] = output.split(ADVICE);
  return cause.trim() === '' ? output : cause;
}
