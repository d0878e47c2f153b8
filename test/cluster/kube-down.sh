#!/usr/bin/env bash
# Ends exactly what kube-up.sh started with the same SKIFF_CLUSTER_STATE and empties that folder, logs aside. The cache of
# binaries and images stays. With --purge the logs and the folder itself go too.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
program=kube-down
# shellcheck source=lib/settings.sh
source "$here/lib/settings.sh"
# shellcheck source=lib/processes.sh
source "$here/lib/processes.sh"

[ -d "$run" ] || { say "nothing is up"; exit 0; }
mode=$(cat "$run/mode" 2>/dev/null)

# Pods outlive kubelet and containerd. Other kubelets of this machine are let be: only cgroups of our own containers count.
end_pods() {
  local sock=$run/containerd.sock id pid f ids
  c() { ctr -a "$sock" --connect-timeout 5s -n k8s.io "$@"; }
  ids=$(ls "$run/containerd/io.containerd.runtime.v2.task/k8s.io" 2>/dev/null)
  for id in $(c tasks list -q 2>/dev/null); do c tasks kill --all --signal KILL "$id" 2>/dev/null; done
  for id in $(c tasks list -q 2>/dev/null); do c tasks delete --force "$id" >/dev/null 2>&1; done
  stop containerd KILL
  for id in $ids; do
    find /sys/fs/cgroup -path "*/$id/cgroup.procs" 2>/dev/null | while read -r f; do
      while read -r pid; do kill -KILL "$pid" 2>/dev/null; done <"$f"
    done
  done
  # A shim names our socket.
  for pid in $(grep -lzxF -e "$sock" /proc/[0-9]*/cmdline 2>/dev/null | cut -d/ -f3); do
    case $(readlink "/proc/$pid/exe") in */containerd-shim*) kill -KILL "$pid" ;; esac
  done
}

# Only once all is dead; a kubelet of somebody else keeps its own.
remove_cgroups() {
  ps -C kubelet -o stat= | grep -qv '^Z' && return
  find /sys/fs/cgroup -depth -type d -path '*/kubepods*' -exec rmdir {} + 2>/dev/null
}

# The watcher of the owner may be the one that runs this script.
[ "$(cut -d' ' -f1 "$run/owner.pid" 2>/dev/null)" = $$ ] || stop owner KILL
for name in lb kube-proxy kubelet kube-scheduler kube-controller-manager; do stop "$name" KILL; done
[ "$mode" != node ] || end_pods
for name in kube-apiserver etcd; do stop "$name" KILL; done   # nothing of theirs is kept

# Deepest mounts first: volumes, overlays, network namespaces of pods.
awk -v d="$state/" 'index($5, d) == 1 {print $5}' /proc/self/mountinfo | sort -r | while read -r m; do umount -l "$m"; done
[ "$mode" != node ] || remove_cgroups
if [ -e "$run/network" ]; then
  ip netns delete "$netns" 2>/dev/null
  ip link delete skiff-host 2>/dev/null
fi
if [ "${1:-}" = --purge ]; then
  rm -rf --one-file-system "$state"
else
  find "$state" -mindepth 1 -maxdepth 1 ! -name logs -exec rm -rf --one-file-system {} +
fi
say "down"
