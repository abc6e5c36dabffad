#!/usr/bin/env bash
# Start the local Kubernetes. Idempotent; see env.sh for the settings, build.sh for the binaries.
set -euo pipefail
. "$(dirname "$0")/env.sh"
. "$HERE/pki.sh"
T0=$(now)
[ -x "$BIN/kube-apiserver" ] || die "run build.sh first"
mkdir -p "$K8S_RUN" "$LOGS" "$PIDS"
KC=(inns kubectl --kubeconfig "$KUBECONFIG_ADMIN")

wait_for() { # seconds what command...
  local n=$(($1 * 10)) what=$2 i; shift 2
  for ((i = 0; i < n; i++)); do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done
  die "timed out waiting for $what (logs in $LOGS)"
}

if [ -n "$K8S_NETNS" ] && [ ! -e "/run/netns/$K8S_NETNS" ]; then
  ip netns add "$K8S_NETNS"
  inns ip link set lo up
  inns ip addr add "$K8S_NODE_IP/32" dev lo
  inns sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward
    echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables || true'
  # a default route is needed by a few things that look up "the" address (kubelet, kube-proxy)
  inns ip link add e2e0 type bridge && inns ip link set e2e0 up && inns ip addr add 10.77.1.1/24 dev e2e0 &&
    inns ip route add default via 10.77.1.254 dev e2e0 || true
  # A cable between this machine and the node: pods reach brokers and stores here, and tests reach the API server.
  ip link add kb-host type veth peer name kb-node netns "$K8S_NETNS"
  ip addr add "$K8S_HOST_IP/30" dev kb-host && ip link set kb-host up
  inns ip addr add "$K8S_CABLE_IP/30" dev kb-node && inns ip link set kb-node up
  ip route add "$K8S_NODE_IP/32" via "$K8S_CABLE_IP" && ip route add "$K8S_POD_CIDR" via "$K8S_CABLE_IP"
fi

make_pki
ADVERTISE=$K8S_NODE_IP; BIND=0.0.0.0
[ -n "$K8S_NETNS" ] || { ADVERTISE=127.0.0.1; BIND=127.0.0.1; }

spawn etcd "$BIN/etcd" --name e2e --data-dir "$K8S_RUN/etcd" --unsafe-no-fsync --log-level warn \
  --listen-client-urls "http://127.0.0.1:$K8S_ETCD_PORT" --advertise-client-urls "http://127.0.0.1:$K8S_ETCD_PORT" \
  --listen-peer-urls "http://127.0.0.1:$((K8S_ETCD_PORT + 1))" --initial-advertise-peer-urls "http://127.0.0.1:$((K8S_ETCD_PORT + 1))" \
  --initial-cluster "e2e=http://127.0.0.1:$((K8S_ETCD_PORT + 1))"

cat >"$K8S_RUN/audit.yaml" <<YAML
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - {level: None, users: ["system:apiserver", "system:kube-controller-manager", "system:kube-scheduler"]}
  - {level: None, resources: [{group: "", resources: [secrets]}, {group: coordination.k8s.io, resources: [leases]}]}
  - {level: RequestResponse, verbs: [create, update, patch, delete]}
YAML
spawn kube-apiserver "$BIN/kube-apiserver" \
  --audit-policy-file "$K8S_RUN/audit.yaml" --audit-log-path "$LOGS/audit.log" \
  --etcd-servers "http://127.0.0.1:$K8S_ETCD_PORT" \
  --bind-address "$BIND" --secure-port "$K8S_PORT" --advertise-address "$ADVERTISE" \
  --service-cluster-ip-range "$K8S_SVC_CIDR" --allow-privileged=true \
  --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
  --client-ca-file "$PKI/ca.crt" --tls-cert-file "$PKI/apiserver.crt" --tls-private-key-file "$PKI/apiserver.key" \
  --kubelet-certificate-authority "$PKI/ca.crt" --kubelet-preferred-address-types InternalIP \
  --kubelet-client-certificate "$PKI/apiserver-kubelet-client.crt" --kubelet-client-key "$PKI/apiserver-kubelet-client.key" \
  --service-account-issuer "https://kubernetes.default.svc.$K8S_CLUSTER_DOMAIN" \
  --service-account-key-file "$PKI/sa.pub" --service-account-signing-key-file "$PKI/sa.key" \
  --requestheader-client-ca-file "$PKI/front-proxy-ca.crt" --requestheader-allowed-names front-proxy-client \
  --requestheader-extra-headers-prefix X-Remote-Extra- --requestheader-group-headers X-Remote-Group \
  --requestheader-username-headers X-Remote-User \
  --proxy-client-cert-file "$PKI/front-proxy-client.crt" --proxy-client-key-file "$PKI/front-proxy-client.key" \
  --profiling=false ${K8S_APISERVER_ARGS:-}
wait_for 120 "kube-apiserver /readyz" "${KC[@]}" get --raw /readyz
say "kube-apiserver ready after $(since "$T0") s"

LE=(--leader-elect=false --profiling=false --secure-port=0)
spawn kube-controller-manager "$BIN/kube-controller-manager" "${LE[@]}" \
  --kubeconfig "$PKI/controller-manager.kubeconfig" --authentication-kubeconfig "$PKI/controller-manager.kubeconfig" \
  --authorization-kubeconfig "$PKI/controller-manager.kubeconfig" --use-service-account-credentials \
  --service-account-private-key-file "$PKI/sa.key" --root-ca-file "$PKI/ca.crt" \
  --cluster-signing-cert-file "$PKI/ca.crt" --cluster-signing-key-file "$PKI/ca.key" \
  --service-cluster-ip-range "$K8S_SVC_CIDR" --allocate-node-cidrs=false ${K8S_KCM_ARGS:-}
if [ "$K8S_MODE" = node ]; then
  spawn kube-scheduler "$BIN/kube-scheduler" "${LE[@]}" \
    --kubeconfig "$PKI/scheduler.kubeconfig" --authentication-kubeconfig "$PKI/scheduler.kubeconfig" \
    --authorization-kubeconfig "$PKI/scheduler.kubeconfig" ${K8S_SCHEDULER_ARGS:-}
  mkdir -p "$K8S_RUN/cni" "$K8S_RUN/containerd"
  cat >"$K8S_RUN/cni/10-e2e.conflist" <<JSON
{"cniVersion": "1.0.0", "name": "e2e", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$K8S_RUN/cni/ipam",
            "ranges": [[{"subnet": "$K8S_POD_CIDR"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
  # NOTE: Debian's containerd is 1.6 (config version 2, CRI v1)
  cat >"$K8S_RUN/containerd.toml" <<TOML
version = 2
root = "$K8S_RUN/containerd/root"
state = "$K8S_RUN/containerd/state"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
[grpc]
  address = "$CTR_SOCK"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$K8S_PAUSE_IMAGE"
  disable_apparmor = true
  restrict_oom_score_adj = true  # works without CAP_SYS_RESOURCE too
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "${K8S_SNAPSHOTTER:-overlayfs}"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$K8S_RUN/cni"
TOML
  spawn containerd containerd --config "$K8S_RUN/containerd.toml"
  wait_for 60 containerd ctr -a "$CTR_SOCK" version
  for t in pause busybox; do "$HERE/load.sh" "$BIN/$t.tar"; done

  : >"$K8S_RUN/resolv.conf"
  cat >"$K8S_RUN/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: 0.0.0.0
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $PKI/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $PKI/kubelet-server.crt
tlsPrivateKeyFile: $PKI/kubelet-server.key
containerRuntimeEndpoint: unix://$CTR_SOCK
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
clusterDNS: [$K8S_DNS_IP]
clusterDomain: $K8S_CLUSTER_DOMAIN
resolvConf: $K8S_RUN/resolv.conf
podLogsDir: $K8S_RUN/pod-logs
volumePluginDir: $K8S_RUN/volume-plugins
evictionHard: {memory.available: 100Mi, nodefs.available: 100Mi, nodefs.inodesFree: 1%, imagefs.available: 100Mi}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
makeIPTablesUtilChains: false
serializeImagePulls: false
oomScoreAdj: 0
maxOpenFiles: 16384
nodeStatusUpdateFrequency: 5s
YAML
  spawn kubelet "$BIN/kubelet" --config "$K8S_RUN/kubelet.yaml" --kubeconfig "$PKI/kubelet.kubeconfig" \
    --root-dir "$K8S_RUN/kubelet" --hostname-override "$K8S_NODE" --node-ip "$K8S_NODE_IP" --v=1 ${K8S_KUBELET_ARGS:-}

  cat >"$K8S_RUN/kube-proxy.yaml" <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $PKI/kube-proxy.kubeconfig}
mode: ${K8S_PROXY_MODE:-nftables}
clusterCIDR: $K8S_POD_CIDR
hostnameOverride: $K8S_NODE
conntrack: {maxPerCore: 0}
oomScoreAdj: 0
YAML
  spawn kube-proxy "$BIN/kube-proxy" --config "$K8S_RUN/kube-proxy.yaml"

  if [ -x "$BIN/coredns" ]; then
    "${KC[@]}" apply -f - >/dev/null <<YAML
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec:
  clusterIP: $K8S_DNS_IP
  ports: [{name: dns, port: 53, targetPort: 1053, protocol: UDP}, {name: dns-tcp, port: 53, targetPort: 1053, protocol: TCP}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kube-dns-host, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}
addressType: IPv4
ports: [{name: dns, port: 1053, protocol: UDP}, {name: dns-tcp, port: 1053, protocol: TCP}]
endpoints: [{addresses: ["$K8S_NODE_IP"]}]
YAML
    cat >"$K8S_RUN/Corefile" <<COREFILE
$K8S_CLUSTER_DOMAIN:1053 in-addr.arpa:1053 {
  bind $K8S_NODE_IP
  errors
  kubernetes $K8S_CLUSTER_DOMAIN in-addr.arpa {
    kubeconfig $KUBECONFIG_ADMIN
    pods insecure
    ttl 5
  }
  cache 5
}
.:1053 {
  bind $K8S_NODE_IP
  errors
  template ANY ANY {
    rcode NXDOMAIN
  }
}
COREFILE
    spawn coredns "$BIN/coredns" -conf "$K8S_RUN/Corefile"
  fi
  wait_for 90 "node $K8S_NODE" "${KC[@]}" wait --for=condition=Ready "node/$K8S_NODE" --timeout=1s
  say "node $K8S_NODE ready after $(since "$T0") s"
fi
# It goes with the process that wanted it, however that ends.
if [ -n "${K8S_WATCH_PID:-}" ] && ! alive watch; then
  spawn watch sh -c "while kill -0 $K8S_WATCH_PID 2>/dev/null; do sleep 1; done; K8S_WATCHER=\$\$ exec '$HERE/down.sh'"
fi
wait_for 60 "the default service account" "${KC[@]}" -n default get serviceaccount default
say "up after $(since "$T0") s: KUBECONFIG=$KUBECONFIG_ADMIN${K8S_NETNS:+ (run clients with $HERE/exec.sh CMD...)}"
