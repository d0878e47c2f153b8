# The single node: its network namespace, kubelet, containerd, scheduler, kube-proxy, DNS and load balancer.
# shellcheck shell=bash disable=SC2154

# The cluster lives in a network namespace: the host's addresses, routes out and firewall tables are not touched, and
# nothing inside has a route to the outside. The host reaches pods, services and load balancers through a veth pair.
make_network() {
  # One node per machine: the namespace and the routes have fixed names and addresses.
  [ ! -e "/run/netns/$netns" ] || [ -e "$run/network" ] || die "another node is up on this machine: run its kube-down.sh first"
  : >"$run/network"
  [ -e "/run/netns/$netns" ] || ip netns add "$netns"
  if ! ip link show skiff-host >/dev/null 2>&1; then
    ip link add skiff-host type veth peer name skiff-node netns "$netns"
    ip addr add "$host_ip/30" dev skiff-host
    ip link set skiff-host up
    ip -n "$netns" link set lo up
    ip -n "$netns" addr add "$node_ip/30" dev skiff-node
    ip -n "$netns" link set skiff-node up
  fi
  local r
  for r in "$pod_cidr" "$service_cidr" "$lb_cidr"; do ip route replace "$r" via "$node_ip" dev skiff-host; done
  nsenter --net="/run/netns/$netns" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables'
}

node_up() {
  write_node_config
  # Kubelet's mounts must reach containers' mount namespaces and back: a shared mount of its own, not the whole root.
  mountpoint -q "$state/kubelet" || { mount --bind "$state/kubelet" "$state/kubelet"; mount --make-rshared "$state/kubelet"; }
  start containerd containerd --config "$etc/containerd.toml"
  wait_for 30 containerd ctr -a "$run/containerd.sock" version
  load "$pause_tar" "$coredns_tar" >/dev/null
  start kube-scheduler "$bin/kube-scheduler" --kubeconfig "$etc/kube-scheduler.kubeconfig" --bind-address 127.0.0.1 --leader-elect=false
  start kubelet "$bin/kubelet" --config "$etc/kubelet.yaml" --kubeconfig "$etc/kubelet.kubeconfig" --root-dir "$state/kubelet" \
    --hostname-override "$node_name" --node-ip "$node_ip"
  start kube-proxy "$bin/kube-proxy" --config "$etc/kube-proxy.yaml"
  start lb "$bin/lb" --kubeconfig "$kubeconfig" --cidr "$lb_cidr"
  k apply -f "$etc/addons.yaml" >/dev/null
  k get clusterrolebinding kube-proxy >/dev/null 2>&1 || k create clusterrolebinding kube-proxy --clusterrole system:node-proxier --user system:kube-proxy >/dev/null
  wait_for 90 kubelet k wait --for=condition=Ready "node/$node_name" --timeout=1s
  wait_for 90 kubelet k -n kube-system wait --for=condition=Available deployment/coredns --timeout=1s
}
