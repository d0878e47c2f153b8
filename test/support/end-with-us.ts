/** What is to be done when this process ends in whatever way it notices. */
const endings = new Set<() => void>();

process.once('exit', () => {
  for (const end of endings) {
    try {
      end();
    } catch (error) {
      console.error(error);
    }
  }
});
// By SIGTERM the test runner ends its files when it is ended itself, by CI for one; that alone runs no exit handler.
if (process.env.NODE_TEST_CONTEXT !== undefined) process.once('SIGTERM', () => process.exit(143));

/** Calls `end` when this process ends, unless the returned function was called before. `end` must not wait. */
export function endWithUs(end: () => void): () => void {
  endings.add(end);
  return () => endings.delete(end);
}
