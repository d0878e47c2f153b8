# Images without a registry.
# shellcheck shell=bash disable=SC2154

# scratch_image ARCHIVE NAME:TAG ROOTFS-FOLDER USER ENTRYPOINT: an archive as `docker save` writes it, one layer.
scratch_image() {
  local archive=$1 name=$2 root=$3 user=$4 entry=$5 tmp layer config
  tmp=$(mktemp -d "$cache/image.XXXXXX")
  tar -C "$root" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf "$tmp/layer.tar" .
  layer=$(sha256sum "$tmp/layer.tar" | cut -d' ' -f1)
  printf '{"architecture":"%s","os":"linux","created":"1970-01-01T00:00:00Z","config":{"User":"%s","Entrypoint":["%s"],"Env":["PATH=/"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$(dpkg --print-architecture)" "$user" "$entry" "$layer" >"$tmp/config.json"
  config=$(sha256sum "$tmp/config.json" | cut -d' ' -f1).json
  mv "$tmp/config.json" "$tmp/$config"
  printf '[{"Config":"%s","RepoTags":["docker.io/%s"],"Layers":["layer.tar"]}]' "$config" "$name" >"$tmp/manifest.json"
  tar -C "$tmp" -cf "$tmp/archive" manifest.json "$config" layer.tar
  mv "$tmp/archive" "$archive"
  rm -rf "$tmp"
}

# The archives' names carry the image's, so that a new name or version is packed anew.
pause_tar=$images/${pause_image//[\/:]/_}.tar coredns_tar=$images/${coredns_image//[\/:]/_}.tar

pause_archive() {
  [ ! -s "$pause_tar" ] || return 0
  local tmp
  tmp=$(mktemp -d "$cache/pause.XXXXXX")
  mkdir "$tmp/root"
  gcc -Os -static -s -o "$tmp/root/pause" "$here/c/pause.c"
  scratch_image "$pause_tar" "$pause_image" "$tmp/root" 65535:65535 /pause
  rm -rf "$tmp"
}

coredns_archive() {
  [ "$bin/coredns" -nt "$coredns_tar" ] || return 0
  local tmp
  tmp=$(mktemp -d "$cache/coredns.XXXXXX")
  cp "$bin/coredns" "$tmp/coredns"
  scratch_image "$coredns_tar" "$coredns_image" "$tmp" 0:0 /coredns
  rm -rf "$tmp"
}

load() {
  local f
  [ -S "$run/containerd.sock" ] || die "no node runs"
  for f; do ctr -a "$run/containerd.sock" -n k8s.io images import "$f"; done
}

# build_image NAME CONTEXT [BUILDAH-ARGUMENT...]: builds a Dockerfile.
build_image() {
  local name=$1 context=$2
  shift 2
  apt_need buildah
  mkdir -p "$cache/npm"   # what npm has fetched once
  buildah build --isolation chroot --network host --pull-never --format docker --layers=false \
    -v /etc/ssl/certs/ca-certificates.crt:/etc/ssl/certs/ca-certificates.crt:ro -v "$cache/npm:/var/cache/npm" -t "$name" "$@" "$context"
}

# push_image NAME: loads what buildah has into the node.
push_image() {
  local name=$1 tmp
  mkdir -p "$cache"
  tmp=$(mktemp -d "$cache/image.XXXXXX")
  buildah push -q "$name" "docker-archive:$tmp/image.tar:$name"
  load "$tmp/image.tar"
  rm -rf "$tmp"
}

# Debian's minimal system with the project's Node, the machine's npm where it has one, and the user `node`.
base_image() {
  local name=$1 c m npm mirror root=$images/debian-$SUITE.tar tmp
  [ -x "$node_binary" ] || die "no Node at $node_binary: run npm ci, or set SKIFF_CLUSTER_NODE"
  apt_need buildah debootstrap
  mkdir -p "$images"
  if [ ! -s "$root" ]; then
    say "debootstrap $SUITE"
    tmp=$(mktemp -d "$cache/debian.XXXXXX")
    # From where this machine's own packages come.
    mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' | awk -v s="$SUITE" '$2 == s && $3 == "main" {print $1; exit}')
    debootstrap --variant=minbase --include=ca-certificates,libstdc++6,libatomic1,tini "$SUITE" "$tmp/root" ${mirror:+"$mirror"} >"$cache/debootstrap.log" ||
      die "debootstrap failed, see $cache/debootstrap.log"
    tar -C "$tmp/root" --numeric-owner --exclude='./var/cache/apt/*.bin' --exclude='./var/cache/apt/archives/*' --exclude='./var/lib/apt/lists/*' \
      --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' --exclude='./dev/*' -cf "$tmp/root.tar" .
    mv "$tmp/root.tar" "$root"
    rm -rf "$tmp"
  fi
  c=$(buildah from scratch)
  buildah add -q "$c" "$root" / >/dev/null
  m=$(buildah mount "$c")
  install -D "$(readlink -f "$node_binary")" "$m/usr/local/bin/node"
  # Where the command leads: `npm root -g` asks whichever Node is first on the PATH, and the project's brings no npm.
  npm=$(readlink -f "$(command -v npm || true)")
  npm=${npm%/bin/*}
  if [ -d "$npm" ]; then
    mkdir -p "$m/usr/local/lib/node_modules"
    cp -a "$npm" "$m/usr/local/lib/node_modules/"
    ln -s ../lib/node_modules/npm/bin/npm-cli.js "$m/usr/local/bin/npm"
    ln -s ../lib/node_modules/npm/bin/npx-cli.js "$m/usr/local/bin/npx"
    # What build_image mounts: the certificates of this machine, and what npm has fetched once.
    install -D -m 644 <(printf "%s\n" cafile=/etc/ssl/certs/ca-certificates.crt cache=/var/cache/npm) "$m/usr/local/etc/npmrc"
  fi
  chroot "$m" groupadd -g 1000 node
  chroot "$m" useradd -u 1000 -g node -m -s /bin/bash node
  buildah umount "$c" >/dev/null
  buildah config --cmd '["node"]' --env "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
    --env "NODE_VERSION=$("$node_binary" -p process.versions.node)" "$c"
  buildah commit -q --rm "$c" "$name"
}
