# etcd, kube-apiserver and kube-controller-manager.
# shellcheck shell=bash disable=SC2154

k() { "$bin/kubectl" --kubeconfig "$kubeconfig" "$@"; }

control_plane() {
  make_pki
  # No fsync: nothing of this etcd outlives kube-down.sh.
  start etcd "$bin/etcd" --data-dir "$state/etcd" --unsafe-no-fsync --log-level warn \
    --listen-client-urls "http://127.0.0.1:$etcd_port" --advertise-client-urls "http://127.0.0.1:$etcd_port" \
    --listen-peer-urls "http://127.0.0.1:$etcd_peer_port" --initial-advertise-peer-urls "http://127.0.0.1:$etcd_peer_port" \
    --initial-cluster "default=http://127.0.0.1:$etcd_peer_port"
  # shellcheck disable=SC2086 # several arguments
  start kube-apiserver "$bin/kube-apiserver" --etcd-servers "http://127.0.0.1:$etcd_port" \
    --bind-address "$api_bind" --advertise-address "$api_host" --secure-port "$api_port" \
    --tls-cert-file "$pki/apiserver.crt" --tls-private-key-file "$pki/apiserver.key" --client-ca-file "$pki/ca.crt" \
    --kubelet-client-certificate "$pki/apiserver-kubelet.crt" --kubelet-client-key "$pki/apiserver-kubelet.key" \
    --kubelet-certificate-authority "$pki/ca.crt" --kubelet-preferred-address-types InternalIP \
    --service-account-issuer "$sa_issuer" --service-account-key-file "$pki/sa.pub" --service-account-signing-key-file "$pki/sa.key" \
    --service-cluster-ip-range "$service_cidr" --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
    --allow-privileged $api_args
  wait_for 120 kube-apiserver k get --raw /readyz
  # Port 0: nobody asks its health endpoint, and several control planes fit on one machine.
  start kube-controller-manager "$bin/kube-controller-manager" --secure-port 0 --leader-elect=false \
    --kubeconfig "$etc/kube-controller-manager.kubeconfig" --use-service-account-credentials \
    --service-account-private-key-file "$pki/sa.key" --root-ca-file "$pki/ca.crt" \
    --cluster-signing-cert-file "$pki/ca.crt" --cluster-signing-key-file "$pki/ca.key" \
    --allocate-node-cidrs --cluster-cidr "$pod_cidr" --service-cluster-ip-range "$service_cidr"
  wait_for 60 kube-controller-manager k -n default get serviceaccount default
}
