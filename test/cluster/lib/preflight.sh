# What a kubelet needs of a machine, tried for real and undone: a container of a CI service may lack any of it.
# shellcheck shell=bash disable=SC2154

# Exit code when the machine cannot do it, EX_UNAVAILABLE: nothing is broken.
readonly UNFIT=69
readonly NEEDED_MEMORY_MIB=3072 NEEDED_DISK_MIB=8192

unfit() { echo "this machine cannot run a Kubernetes node: it lacks $*" >&2; exit "$UNFIT"; }

preflight() {
  [ "$(id -u)" = 0 ] || unfit "root"
  command -v apt-get >/dev/null || unfit "apt-get"
  command -v go >/dev/null || [ -x "$bin/kubelet" ] || unfit "go, to build the kubelet"
  node_packages
  local lacks=() probe said
  for probe in memory disk kernel_log cgroups network bridge_filter packet_filter overlay propagation container; do
    said=$("try_$probe" 2>&1) || lacks+=("${probe//_/ } ($(head -n 1 <<<"$said" | cut -c -160))")
  done
  ((${#lacks[@]})) || return 0
  said=$(printf '; %s' "${lacks[@]}")
  unfit "${said:2}"
}

# Each try_ runs in a shell of its own, whose traps end what it made; the first line that it prints is the reason.
try_memory() {
  local mib
  mib=$(awk '/^MemAvailable/ {print int($2 / 1024)}' /proc/meminfo)
  ((mib >= NEEDED_MEMORY_MIB)) || { echo "$mib MiB available, $NEEDED_MEMORY_MIB needed"; return 1; }
}

try_disk() {
  local folder mib
  mkdir -p "$state" "$cache"
  for folder in "$state" "$cache"; do
    mib=$(df -Pm "$folder" | awk 'NR == 2 {print $4}')
    ((mib >= NEEDED_DISK_MIB)) || { echo "$mib MiB free in $folder, $NEEDED_DISK_MIB needed"; return 1; }
  done
}

# The kubelet reads it for processes killed for want of memory, and does not start without.
try_kernel_log() { { : </dev/kmsg; } 2>/dev/null || { echo "/dev/kmsg cannot be read"; return 1; }; }

try_cgroups() {
  local group=skiff-preflight-$$ root=/sys/fs/cgroup controller
  if [ -e $root/cgroup.controllers ]; then
    for controller in cpu cpuset memory pids; do
      grep -qw $controller $root/cgroup.controllers || { echo "controller $controller"; return 1; }
      grep -qw $controller $root/cgroup.subtree_control || echo "+$controller" >$root/cgroup.subtree_control || return
    done
    mkdir $root/$group && rmdir $root/$group
    return
  fi
  for controller in cpu cpuset memory pids; do
    [ -d $root/$controller ] || { echo "controller $controller"; return 1; }
    mkdir $root/$controller/$group && rmdir $root/$controller/$group || return
  done
}

in_network() {
  ip netns add skiff-preflight
  trap 'ip netns delete skiff-preflight 2>/dev/null' EXIT
  nsenter --net=/run/netns/skiff-preflight "$@"
}

try_network() {
  # shellcheck disable=SC2016 # for the inner shell
  in_network sh -ec 'ip link add name br0 type bridge; ip link add name v0 type veth peer name v1; ip link set v0 master br0; ip link set br0 up
    echo 1 >/proc/sys/net/ipv4/ip_forward'
}

try_bridge_filter() {
  [ -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || modprobe br_netfilter || return
  in_network sh -ec 'echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables'
}

# What kube-proxy's rules are made of.
try_packet_filter() {
  in_network nft -f - <<'NFT'
table ip probe {
  map services { type ipv4_addr . inet_proto . inet_service : verdict; }
  chain nat { type nat hook prerouting priority -100; ip daddr . meta l4proto . th dport vmap @services;
    fib daddr type local counter accept; numgen random mod 2 vmap { 0 : accept, 1 : accept }; }
  chain to { meta l4proto tcp dnat to 10.0.0.1:80; }
  chain post { type nat hook postrouting priority 100; mark and 0x4000 != 0 masquerade fully-random; }
  chain filter { type filter hook forward priority 0; ct state established,related accept; }
}
NFT
}

# On the file system where containerd keeps its layers: an overlay cannot lie on another one.
try_overlay() {
  d=$(mktemp -d "$state/preflight.XXXXXX")
  trap 'umount "$d/merged" 2>/dev/null; rm -rf "$d"' EXIT
  mkdir "$d"/{lower,upper,work,merged}
  mount -t overlay overlay -o "lowerdir=$d/lower,upperdir=$d/upper,workdir=$d/work" "$d/merged"
}

try_propagation() {
  d=$(mktemp -d "$state/preflight.XXXXXX")
  trap 'umount "$d" 2>/dev/null; rm -rf "$d"' EXIT
  mount --bind "$d" "$d" && mount --make-rshared "$d"
}

# A container from beginning to end, by the runtime that the pods will have.
try_container() {
  d=$(mktemp -d "$state/preflight.XXXXXX")
  trap 'rm -rf "$d"' EXIT
  mkdir "$d/rootfs"
  echo 'int main(void) { return 0; }' | gcc -x c -static -o "$d/rootfs/true" -
  (cd "$d" && runc spec && sed -i 's|"sh"|"/true"|; s|"terminal": true|"terminal": false|' config.json && runc --root "$d/state" run "skiff-preflight-$$" </dev/null)
}
