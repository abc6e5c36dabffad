# shellcheck shell=bash
# Settings of the local Kubernetes that the suites run against; the environment overrides them. Binaries are cached one
# by one, by version, outside the clone; the state of a running cluster lies in $K8S_RUN and goes with it.
HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

: "${K8S_VERSION:=v1.34.4}"                      # version of k8s.io/kubernetes (see binaries/go.mod)
: "${K8S_CACHE:=${KAFKA_BACKUP_CACHE:-$HOME/.cache/kafka-backup}/kubernetes}"
: "${K8S_RUN:=/run/kafka-backup-k8s}"            # runtime state (short path: unix sockets live here)
: "${K8S_MODE:=node}"                            # cp = control plane only, node = + containerd, kubelet, kube-proxy
# network namespace that everything runs in; empty = the current one (only sensible for cp mode)
if [ -z "${K8S_NETNS+x}" ]; then if [ "$K8S_MODE" = cp ]; then K8S_NETNS=""; else K8S_NETNS=kafka-backup-k8s; fi; fi
: "${K8S_PORT:=6443}"                            # kube-apiserver, on 127.0.0.1 (and on the node address in node mode)
: "${K8S_ETCD_PORT:=2379}"
: "${K8S_NODE:=node-1}"
: "${K8S_NODE_IP:=10.77.0.1}"
: "${K8S_HOST_IP:=10.77.2.2}"                     # this machine as pods see it
: "${K8S_CABLE_IP:=10.77.2.1}"                    # the other end of that cable
: "${K8S_POD_CIDR:=10.244.0.0/24}"
: "${K8S_SVC_CIDR:=10.96.0.0/16}"
: "${K8S_SVC_IP:=10.96.0.1}"                     # kubernetes.default.svc
: "${K8S_DNS_IP:=10.96.0.10}"
: "${K8S_CLUSTER_DOMAIN:=cluster.local}"
: "${K8S_PAUSE_IMAGE:=localhost/pause:1}"

BIN="$K8S_CACHE/bin/$K8S_VERSION"
PKI="$K8S_RUN/pki"
LOGS="$K8S_RUN/logs"
PIDS="$K8S_RUN/pids"
export KUBECONFIG_ADMIN="$K8S_RUN/admin.kubeconfig"
CTR_SOCK="$K8S_RUN/containerd.sock"
export PATH="$BIN:$PATH"

say() { printf 'kubernetes %s: %s\n' "$(date +%H:%M:%S)" "$*" >&2; }
die() { say "ERROR: $*"; exit 1; }
now() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN{printf "%.1f", b-a}'; }

# run a command in the cluster's network namespace
# (nsenter, not "ip netns exec": the latter remounts /sys and hides the cgroups)
inns() { if [ -n "$K8S_NETNS" ]; then nsenter --net="/run/netns/$K8S_NETNS" "$@"; else "$@"; fi; }

# A process that was killed counts as gone although nobody has waited for it yet.
alive() { # name
  local p stat; p=$(cat "$PIDS/$1" 2>/dev/null) || return 1
  stat=$(cat "/proc/$p/stat" 2>/dev/null) || return 1
  case "${stat##*) }" in Z* | X* | "") return 1 ;; esac
}

spawn() { # name command...
  local name=$1; shift
  if alive "$name"; then say "$name already running (pid $(cat "$PIDS/$name"))"; return 0; fi
  mkdir -p "$LOGS" "$PIDS"
  if [ -n "$K8S_NETNS" ]; then
    setsid nsenter --net="/run/netns/$K8S_NETNS" "$@" >>"$LOGS/$name.log" 2>&1 </dev/null &
  else
    setsid "$@" >>"$LOGS/$name.log" 2>&1 </dev/null &
  fi
  echo $! >"$PIDS/$name"   # nsenter without --fork and setsid both exec, so this is the real pid
  disown $! 2>/dev/null || true
}

stop_one() { # name
  local p i; p=$(cat "$PIDS/$1" 2>/dev/null) || return 0
  if alive "$1"; then
    kill "$p" 2>/dev/null || true
    for i in $(seq 1 100); do alive "$1" || break; sleep 0.1; done
    kill -9 "$p" 2>/dev/null || true
  fi
  rm -f "$PIDS/$1"
}
