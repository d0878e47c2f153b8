/** The `code` that errors of Node (`ENOENT`), of vendors' clients and of this program carry; undefined when there is none. */
export function errorCodeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
