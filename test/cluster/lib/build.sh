# Debian packages, and the Go binaries that are built once into the cache.
# shellcheck shell=bash disable=SC2154

apt_need() {
  local p missing=()
  for p; do dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p"); done
  ((${#missing[@]})) || return 0
  say "installing ${missing[*]}"
  apt-get -o DPkg::Lock::Timeout=300 update -qq >&2
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# The k8s.io/kubernetes module replaces its staging modules by folders that its zip lacks: name the published ones.
write_kube_module() {
  local d=$src/kube gomod
  mkdir -p "$d"
  gomod=$(cd "$d" && go mod download -json "k8s.io/kubernetes@v$KUBE_VERSION" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
  [ -f "$gomod" ] || die "module k8s.io/kubernetes v$KUBE_VERSION is not to be had"
  {
    echo "module skiff-cluster/kube"
    grep -E '^(go|godebug) ' "$gomod"
    echo "require k8s.io/kubernetes v$KUBE_VERSION"
    echo "replace ("
    sed -n "s|^\t\(k8s.io/[a-z0-9-]*\) => ./staging.*|\t\1 => \1 v0.${KUBE_VERSION#*.}|p" "$gomod"
    echo ")"
  } >"$d/go.mod"
  rm -rf "$d/lb"
  cp -r "$here/go/lb" "$d/lb"
}

write_addons_module() {
  local d=$src/addons
  mkdir -p "$d"
  printf 'module skiff-cluster/addons\ngo 1.25.0\nrequire (\n\thelm.sh/helm/v3 v%s\n\tgithub.com/coredns/coredns v%s\n)\n' \
    "$HELM_VERSION" "$COREDNS_VERSION" >"$d/go.mod"
  rm -rf "$d/coredns"
  cp -r "$here/go/coredns" "$d/coredns"
}

# lacks NAME: true when the cache has no binary NAME, or has one of another version of our own source.
lacks() {
  [ -x "$bin/$1" ] || return 0
  [ -f "$here/go/$1/main.go" ] && [ "$(sha256sum <"$here/go/$1/main.go")" != "$(cat "$bin/.$1.sha256" 2>/dev/null)" ]
}

# go_build MODULE-FOLDER LDFLAGS NAME=PACKAGE...: builds what the cache lacks, all in one go call.
go_build() {
  local dir=$1 ld=$2 tmp spec name todo=() out
  shift 2
  for spec; do lacks "${spec%%=*}" && todo+=("${spec#*=}"); done
  ((${#todo[@]})) || return 0
  tmp=$(mktemp -d "$cache/build.XXXXXX")
  say "building ${todo[*]} (all ten binaries take 6 to 17 minutes)"
  (cd "$dir" && CGO_ENABLED=0 nice go build -mod=mod -trimpath -buildvcs=false -ldflags "$ld" -o "$tmp/" "${todo[@]}") &
  local builder=$! began=$SECONDS
  while kill -0 $builder 2>/dev/null; do
    sleep 1
    (((SECONDS - began) % 30)) || say "still building, $((SECONDS - began)) s"
  done
  wait $builder
  for spec; do
    name=${spec%%=*} out=${spec#*=} out=$tmp/$(basename "${out%/v[0-9]}")   # go names it without the major version
    [ -e "$out" ] || continue
    mv "$out" "$bin/$name"
    [ ! -f "$here/go/$name/main.go" ] || sha256sum <"$here/go/$name/main.go" >"$bin/.$name.sha256"
  done
  rm -rf "$tmp"
}

build_binaries() {
  local mode=$1 stamp ld="-s -w" p missing=
  local kube=(etcd=go.etcd.io/etcd/server/v3 kube-apiserver=k8s.io/kubernetes/cmd/kube-apiserver
    kube-controller-manager=k8s.io/kubernetes/cmd/kube-controller-manager kubectl=k8s.io/kubernetes/cmd/kubectl)
  local addons=(helm=helm.sh/helm/v3/cmd/helm)
  if [ "$mode" = node ]; then
    kube+=(kube-scheduler=k8s.io/kubernetes/cmd/kube-scheduler kubelet=k8s.io/kubernetes/cmd/kubelet
      kube-proxy=k8s.io/kubernetes/cmd/kube-proxy lb=skiff-cluster/kube/lb)
    addons+=(coredns=skiff-cluster/addons/coredns)
  fi
  stamp="kube $KUBE_VERSION helm $HELM_VERSION coredns $COREDNS_VERSION"
  if [ "$(cat "$bin/.versions" 2>/dev/null)" != "$stamp" ]; then
    rm -rf "${bin:?}"/* "${images:?}"/*
    echo "$stamp" >"$bin/.versions"
  fi
  for p in "${kube[@]}" "${addons[@]}"; do ! lacks "${p%%=*}" || missing=$p; done
  [ -n "$missing" ] || return 0
  command -v go >/dev/null || die "go is needed to build"
  write_kube_module
  write_addons_module
  for p in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    ld+=" -X $p.gitVersion=v$KUBE_VERSION -X $p.gitMajor=${KUBE_VERSION%%.*} -X $p.gitMinor=$(cut -d. -f2 <<<"$KUBE_VERSION")"
    ld+=" -X $p.gitTreeState=clean -X $p.gitCommit=unknown -X $p.buildDate=1970-01-01T00:00:00Z"
  done
  go_build "$src/kube" "$ld" "${kube[@]}"
  go_build "$src/addons" "-s -w -X helm.sh/helm/v3/internal/version.version=v$HELM_VERSION" "${addons[@]}"
}

node_packages() { apt_need containerd runc containernetworking-plugins nftables iptables conntrack gcc libc6-dev mount iproute2 kmod; }

build() {
  local mode=$1
  apt_need openssl curl iproute2
  [ "$mode" != node ] || node_packages
  mkdir -p "$bin" "$images" "$src"
  # Two builds at once would double the memory and build everything twice.
  exec 9>"$cache/lock"
  flock -n 9 || { say "waiting for another build"; flock 9; }
  build_binaries "$mode"
  [ "$mode" != node ] || { pause_archive; coredns_archive; }
  exec 9>&-
}
