#!/usr/bin/env bash
# Builds what the local Kubernetes needs, each binary once and by version, so that an interrupted build goes on:
#   * Go modules: etcd, kube-apiserver, kube-controller-manager, kubectl; in node mode also kube-scheduler, kubelet,
#     kube-proxy and CoreDNS
#   * Debian packages in node mode: containerd, runc, CNI plugins, nftables
# About 5 minutes on two cores the first time, 10 in node mode. Prints the folder of the binaries.
set -euo pipefail
. "$(dirname "$0")/env.sh"
T0=$(now)

GIT_VERSION=$K8S_VERSION
MINOR=$(echo "$K8S_VERSION" | cut -d. -f2)
LD="-s -w"
for p in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
  LD="$LD -X $p.gitVersion=$GIT_VERSION -X $p.gitMajor=1 -X $p.gitMinor=$MINOR -X $p.gitCommit=unknown"
  LD="$LD -X $p.gitTreeState=clean -X $p.buildDate=2000-01-01T00:00:00Z"
done

export GOMODCACHE="${K8S_GOMODCACHE:-$K8S_CACHE/gomod}" GOCACHE="${K8S_GOCACHE:-$K8S_CACHE/gobuild}"
export CGO_ENABLED=0 GOFLAGS="-mod=readonly -trimpath -buildvcs=false -modcacherw"

build() { # output package [module-dir]
  local out=$1 pkg=$2 dir=${3:-binaries} t
  if [ -x "$BIN/$out" ]; then say "have $out"; return 0; fi
  t=$(now)
  say "building $out (minutes)"
  (cd "$HERE/$dir" && go build -tags selinux,notest,grpcnotrace -ldflags "$LD" -o "$BIN/$out.tmp" "$pkg" 2> >(grep -v "^go: downloading" >&2))
  mv "$BIN/$out.tmp" "$BIN/$out"
  say "built $out in $(since "$t") s ($(($(stat -c %s "$BIN/$out") / 1048576)) MiB)"
}

need_debs() {
  local want=() p
  for p in containerd runc containernetworking-plugins iptables nftables conntrack busybox-static socat; do
    dpkg -s "$p" >/dev/null 2>&1 || want+=("$p")
  done
  [ ${#want[@]} -eq 0 ] && { say "have Debian packages"; return 0; }
  local t; t=$(now)
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${want[@]}" >/dev/null
  say "installed ${want[*]} in $(since "$t") s"
}

mkdir -p "$BIN"
# Two test processes may want it at once.
exec 9> "$K8S_CACHE/.lock"
flock 9
[ "$K8S_MODE" = node ] && need_debs

if [ ! -e "$BIN/.complete-$K8S_MODE" ]; then
  command -v go >/dev/null || die "need Go (see binaries/go.mod for the version)"
  build etcd go.etcd.io/etcd/server/v3
  build kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver
  build kube-controller-manager k8s.io/kubernetes/cmd/kube-controller-manager
  build kubectl k8s.io/kubernetes/cmd/kubectl
  if [ "$K8S_MODE" = node ]; then
    build kube-scheduler k8s.io/kubernetes/cmd/kube-scheduler
    build kubelet k8s.io/kubernetes/cmd/kubelet
    build kube-proxy k8s.io/kubernetes/cmd/kube-proxy
    build coredns . coredns
  fi
  # What the compiler keeps is far larger than its results.
  rm -rf "$K8S_CACHE/gomod" "$K8S_CACHE/gobuild"
  touch "$BIN/.complete-$K8S_MODE"
else
  say "have Kubernetes $K8S_VERSION binaries in $BIN"
fi

if [ "$K8S_MODE" = node ] && [ ! -e "$BIN/pause.tar" ]; then
  cc -Os -static -s -o "$BIN/pause" "$HERE/image/pause.c"
  python3 "$HERE/../../manifests/images/mkimage.py" --name "$K8S_PAUSE_IMAGE" --out "$BIN/pause.tar" \
    --add "$BIN/pause:/pause:0755" --entrypoint '["/pause"]' --user 65535:65535 >/dev/null
  say "made the pause image"
fi
if [ "$K8S_MODE" = node ] && [ ! -e "$BIN/busybox.tar" ]; then
  links=()
  for a in $(busybox --list); do [ "$a" = busybox ] || links+=(--link "/bin/busybox:/bin/$a"); done
  python3 "$HERE/../../manifests/images/mkimage.py" --name localhost/busybox:1 --out "$BIN/busybox.tar" \
    --add "$(command -v busybox):/bin/busybox:0755" "${links[@]}" --dir /tmp:1777 --dir /etc --cmd '["/bin/sh"]' >/dev/null
  say "made the busybox image"
fi
say "ready after $(since "$T0") s"
echo "$BIN"
