#!/usr/bin/env bash
# Makes a checkout ready to build, test and run: system packages by name, npm packages, the native binding of ssh2.
# Usage: tools/setup.sh [demo|test|bench]...   Idempotent; does nothing when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }

# What each purpose needs: "command-or-file Debian-package".
needs_base='python3 python3
g++ g++
make make
openssl openssl
/usr/sbin/mariadbd mariadb-server-core
mariadb-install-db mariadb-server-core
my_print_defaults mariadb-client-core
ssh openssh-client
sftp openssh-client
setsid util-linux'
needs_test='/usr/sbin/mosquitto mosquitto
/usr/lib/rabbitmq/bin/rabbitmq-server rabbitmq-server
curl curl
psftp putty-tools
puttygen putty-tools
jq jq'
needs_bench='/usr/sbin/sshd openssh-server'

missing_packages() {
  local need package
  while read -r need package; do
    case $need in
      /*) [ -x "$need" ] || echo "$package" ;;
      *) command -v "$need" >/dev/null || echo "$package" ;;
    esac
  done | sort -u
}

install_packages() {
  local packages
  packages=$(printf '%s\n' "$needs_base" | missing_packages)
  case " $* " in *' test '*) packages+=" $(printf '%s\n' "$needs_test" "$needs_bench" | missing_packages)" ;; esac
  case " $* " in *' bench '*) packages+=" $(printf '%s\n' "$needs_bench" | missing_packages)" ;; esac
  packages=$(echo $packages)
  [ -n "$packages" ] || return 0
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    say "These are missing: $packages. Install them (Debian names; on Fedora: mariadb-server openssh gcc-c++ python3) and run this again."
    exit 1
  fi
  say "Installing $packages"
  apt-get -o DPkg::Lock::Timeout=300 update -qq
  # RUNLEVEL=1 keeps Debian packages from starting services: everything here runs privately.
  RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends $packages >/dev/null
}

install_npm_packages() {
  local stamp=node_modules/.skiff-lock
  if [ -f "$stamp" ] && cmp -s package-lock.json "$stamp"; then return 0; fi
  command -v npm >/dev/null || { say 'npm is missing: install Node.js 20 or newer with npm.'; exit 1; }
  say 'Installing npm packages (npm ci)'
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
  cp package-lock.json "$stamp"
}

# The control plane of the tests is built from Go modules once, and kept (SKIFF_CLUSTER_CACHE; see test/cluster/README.md).
build_control_plane() {
  command -v go >/dev/null || { say 'go is missing: install Go 1.25 or newer (go.dev/dl); the tests build a Kubernetes API server with it, once.'; exit 1; }
  test/cluster/kube-up.sh build control-plane
}

install_packages "$@"
install_npm_packages
tools/node --version >/dev/null
tools/node tools/build-native.ts
case " $* " in *' test '*) build_control_plane ;; esac
