# Certificates and kubeconfigs.
# shellcheck shell=bash disable=SC2154

# cert NAME SUBJECT [SAN]: a client certificate, or with SAN one for servers too, signed by the cluster's CA.
cert() {
  local name=$1 subject=$2 san=${3:-}
  [ ! -s "$pki/$name.crt" ] || return 0
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$pki/$name.key" -subj "$subject" 2>/dev/null |
    openssl x509 -req -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -CAcreateserial -days 3650 -out "$pki/$name.crt" 2>/dev/null \
      -extfile <(printf 'keyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth%s\n%s' \
        "${san:+,serverAuth}" "${san:+subjectAltName=$san}")
}

kubeconfig_for() {
  local user=$1 file=$2
  (umask 077; cat >"$file.new" <<YAML
apiVersion: v1
kind: Config
current-context: skiff-cluster
clusters: [{name: skiff-cluster, cluster: {server: "https://$api_host:$api_port", certificate-authority-data: $(base64 -w0 "$pki/ca.crt")}}]
users: [{name: $user, user: {client-certificate-data: $(base64 -w0 "$pki/$user.crt"), client-key-data: $(base64 -w0 "$pki/$user.key")}}]
contexts: [{name: skiff-cluster, context: {cluster: skiff-cluster, user: $user}}]
YAML
  mv "$file.new" "$file")
}

make_pki() {
  mkdir -p "$pki"
  chmod 700 "$pki"
  [ -s "$pki/ca.crt" ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj /CN=skiff-cluster-ca \
    -addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature -keyout "$pki/ca.key" -out "$pki/ca.crt" 2>/dev/null
  [ -s "$pki/sa.pub" ] || { openssl genrsa -out "$pki/sa.key" 2048 2>/dev/null; openssl rsa -in "$pki/sa.key" -pubout -out "$pki/sa.pub" 2>/dev/null; }
  cert apiserver /CN=kube-apiserver "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,IP:127.0.0.1,IP:$node_ip,IP:$api_service_ip"
  cert admin /O=system:masters/CN=admin
  cert apiserver-kubelet /O=system:masters/CN=apiserver-kubelet
  cert kube-controller-manager /CN=system:kube-controller-manager
  kubeconfig_for admin "$kubeconfig"
  kubeconfig_for kube-controller-manager "$etc/kube-controller-manager.kubeconfig"
  [ "$mode" = node ] || return 0
  cert kube-scheduler /CN=system:kube-scheduler
  cert kube-proxy /CN=system:kube-proxy
  cert kubelet "/O=system:nodes/CN=system:node:$node_name" "DNS:$node_name,IP:$node_ip"
  kubeconfig_for kube-scheduler "$etc/kube-scheduler.kubeconfig"
  kubeconfig_for kube-proxy "$etc/kube-proxy.kubeconfig"
  kubeconfig_for kubelet "$etc/kubelet.kubeconfig"
}

