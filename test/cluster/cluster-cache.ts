import { homedir } from 'node:os';
import { join } from 'node:path';

/** Folder of the test cluster's binaries and images, as in lib/settings.sh. */
export function clusterCache(): string {
  const { SKIFF_CLUSTER_CACHE, XDG_CACHE_HOME } = process.env;
  return SKIFF_CLUSTER_CACHE ?? join(XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'skiff-cluster');
}
