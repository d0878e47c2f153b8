import type { KubeObject } from '@skiff/kube/kube-object';

/**
 * The later of two states of an object, one from a watch and one from the answer to a write: a watch lags behind. Resource versions
 * are ordered (Kubernetes 1.35, KEP-5504); where one is not a number, the watch is believed. An object that was made anew is another one.
 */
export function newerObject(watched: KubeObject | undefined, written: KubeObject | undefined): KubeObject | undefined {
  if (watched === undefined || written === undefined) return watched ?? written;
  if (watched.metadata.uid !== written.metadata.uid) return watched;
  const [left, right] = [versionOf(watched), versionOf(written)];
  return left !== undefined && right !== undefined && right > left ? written : watched;
}

function versionOf({ metadata }: KubeObject): bigint | undefined {
  const version = metadata.resourceVersion;
  return version !== undefined && /^\d{1,20}$/.test(version) ? BigInt(version) : undefined;
}
