#!/usr/bin/env bash
# A real Kubernetes for the tests, on one Debian machine, with no image registry and no Docker.
#
#   kube-up.sh build [control-plane|node]   install Debian packages and build the Go binaries into the cache
#   kube-up.sh control-plane                etcd, kube-apiserver and kube-controller-manager on 127.0.0.1 (no pods run)
#   kube-up.sh preflight                    whether this machine can run a node; if not, one line says what it lacks, exit code 69
#   kube-up.sh node                         a whole single-node cluster inside its own network namespace (root)
#   kube-up.sh load ARCHIVE...              import docker or OCI image archives into the node
#   kube-up.sh build-image NAME CONTEXT [ARG...]  build CONTEXT's Dockerfile with buildah
#   kube-up.sh image-tools                  install what the image modes need
#   kube-up.sh push-image NAME              load an image of buildah's into the node
#   kube-up.sh base-image NAME              build a Debian image NAME with the project's Node (stands in for node:*-slim)
#
# Each mode is idempotent: what is built, or runs already, is left as it is. `control-plane` and `node` print the exports
# that set KUBECONFIG and PATH (kubectl, helm) for the calling shell: eval "$(test/cluster/kube-up.sh node)".
# kube-down.sh ends it. Progress goes to standard error.
#
# Environment:
#   SKIFF_CLUSTER_CACHE      binaries and images, kept between runs   (~/.cache/skiff-cluster)
#   SKIFF_CLUSTER_STATE      state of the cluster, emptied by kube-down.sh; several control planes may run side by side
#                            with a state and ports of their own     (/var/lib/skiff-cluster)
#   SKIFF_CLUSTER_API_PORT, SKIFF_CLUSTER_ETCD_PORT, SKIFF_CLUSTER_ETCD_PEER_PORT   (6443, 23790, 23800)
#   SKIFF_CLUSTER_OWNER_PID  kube-down.sh runs when this process ends, however it ends
#   SKIFF_CLUSTER_SA_ISSUER  issuer of service-account tokens
#   SKIFF_CLUSTER_API_ARGS   extra kube-apiserver arguments
#   SKIFF_CLUSTER_PROXY_MODE mode of kube-proxy                       (nftables)
#   SKIFF_CLUSTER_NODE       Node binary that base-image installs     (the pinned one of node_modules)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
program=kube-up
for part in settings build preflight images pki processes control-plane node-config node; do
  # shellcheck source=/dev/null
  source "$here/lib/$part.sh"
done

up() {
  mode=$1
  [ "$mode" = control-plane ] || [ "$(id -u)" = 0 ] || die "run as root"
  if [ -e "$run/mode" ] && [ "$(cat "$run/mode")" != "$mode" ]; then die "a $(cat "$run/mode") is up: run kube-down.sh first"; fi
  build "$mode"
  local began=$SECONDS
  mkdir -p "$run" "$logs" "$etc"
  echo "$mode" >"$run/mode"
  watch_owner
  say "starting the control plane"
  if [ "$mode" = node ]; then api_bind=0.0.0.0 api_host=$node_ip; make_network; else api_bind=127.0.0.1 api_host=127.0.0.1; fi
  control_plane
  if [ "$mode" = node ]; then
    say "control plane is up after $((SECONDS - began)) s, starting the node"
    node_up
  fi
  say "$mode is up after $((SECONDS - began)) s"
  echo "export KUBECONFIG=$kubeconfig PATH=$bin:\$PATH"
}

case ${1:-} in
  build) build "${2:-node}" ;;
  control-plane | node) up "$1" ;;
  preflight) preflight ;;
  load) shift; load "$@" ;;
  build-image) shift; build_image "${1:?image name}" "${2:?build context}" "${@:3}" ;;
  image-tools) apt_need buildah debootstrap ;;
  push-image) push_image "${2:?image name}" ;;
  base-image) base_image "${2:?image name}" ;;
  *) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac
