/**
 * What glibc's allocator is told, by environment variables alone (mallopt(3)). Blocks of files come and go in many sizes: one arena per
 * thread would keep what each has ever held, and without the thresholds, which are no longer moved once they are set, glibc comes to keep
 * buffers of a megabyte that are done with.
 */
export const MALLOC_SETTINGS: Readonly<Record<string, string>> = {
  MALLOC_ARENA_MAX: '2',
  MALLOC_TRIM_THRESHOLD_: '131072',
  MALLOC_MMAP_THRESHOLD_: '262144',
};
