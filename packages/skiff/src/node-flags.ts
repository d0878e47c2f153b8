/**
 * What a file server wants: blocks of files are short-lived and big. The old space may grow to 1 GiB, or half of what the container's
 * limit allows, before the first full collection: the Azure SDK otherwise doubles the price of a download. The young space stays small,
 * since blocks that are done with go only when it is collected: a file of 1 GiB peaks at 256 to 292 MiB with 2, at 275 to 350 with 8, equally
 * fast (test/main-job/large-file.timing.test.ts).
 */
const DATA_PATH: readonly string[] = ['--initial-old-space-size=1024', '--max-semi-space-size=2'];

const BY_MODE: Readonly<Record<string, readonly string[]>> = {
  // Its heap is a cache of objects that live long, so it is collected early. For 4,000 users (test/operator/scale.timing.test.ts): 169 MiB,
  // and 225 on a machine with six times more work than it has cores, where the above need 247 at rest.
  operator: ['--max-semi-space-size=8'],
  // V8 otherwise lets some 64 MiB of buffers that are done with gather before it looks; a file of 1 GiB then passes through in 32 MiB
  // (test/router/body-file.timing.test.ts).
  router: ['--max-semi-space-size=1'],
};

/** V8's flags for a mode. They must stand before the program's name: `NODE_OPTIONS` refuses some, and a heap that is made keeps its shape. */
export function nodeFlagsOf(mode: string | undefined): readonly string[] {
  return mode !== undefined && Object.hasOwn(BY_MODE, mode) ? (BY_MODE[mode] ?? DATA_PATH) : DATA_PATH;
}
