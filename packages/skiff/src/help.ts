/** `skiff --help`. */
export const HELP = `skiff: managed SFTP for Kubernetes

Usage
  skiff standalone [--manifests DIR] [--state DIR]   everything in one process, from a folder of manifests
  skiff operator                                     the resources of a Kubernetes cluster (KUBECONFIG, or in a pod)
  skiff sftp-server                                  one endpoint's SFTP server
  skiff router                                       one endpoint's event router
  skiff deliveries list | replay                     what became of events at the targets; try the dead ones again
  skiff routes explain --event FILE                  which routes would take an event, and why the others would not
  skiff hash-password                                read a password from standard input, print its argon2id hash
  skiff self-check [MODE]                            whether everything of this installation loads and works here
  skiff smoke-test --endpoint NAMESPACE/NAME         in a pod: send a file through a running endpoint (helm test)
  skiff --version

Environment
  SKIFF_DATABASE_URL            mysql://user:password@host:3306/skiff (standalone: without it a private MariaDB is used)
  SKIFF_DATABASE_CA_FILE        PEM file; turns TLS to the database on
  SKIFF_DATABASE_POOL_SIZE      connections of this process (8)
  SKIFF_ENDPOINT_FILE           sftp-server, router: the endpoint's settings, JSON
  SKIFF_HOST_KEY_FILES          sftp-server: private host keys, or folders of them, separated by commas
  SKIFF_IMAGE                   operator: image of the pods (also SKIFF_IMAGE_PULL_POLICY, SKIFF_IMAGE_PULL_SECRETS)
  SKIFF_NAMESPACE, SKIFF_SERVICE_ACCOUNT, SKIFF_POD_NAME
                                operator: its own namespace, ServiceAccount (skiff) and pod
  SKIFF_SERVICE_ACCOUNT_DIRECTORY
                                operator: files of its ServiceAccount, where they are not in the usual place
  SKIFF_POD_ENVIRONMENT         operator: further variables of all pods, JSON
  SKIFF_POD_FS_GROUP            operator: group of mounted volumes; 0: the platform chooses (65532)
  SKIFF_ROUTE_SECRETS_DIR       router: where the secrets of route targets are mounted
  SKIFF_EVENT_BUS_SECRETS_DIR   sftp-server, router: where the secrets of the AMQP broker are mounted
  SKIFF_LISTEN_HOST             address to listen on (every one)
  SKIFF_TRANSFER_MEMORY_MIB     memory that all transfers may hold together (96)
  SKIFF_DRAIN_GRACE_SECONDS     how long transfers may go on after SIGTERM (30)
  SKIFF_ALLOWED_TARGET_RANGES   CIDR ranges of private addresses that HTTP targets may have
  SKIFF_HEALTH_PORT             port of /healthz, /readyz and /metrics (none)
  SKIFF_MANIFESTS, SKIFF_STATE  standalone: folders, where the options are not given (manifests, .skiff)
  SKIFF_LOG_LEVEL               debug, info, warn, error, silent (info)
  AZURE_CLIENT_ID, AZURE_TENANT_ID, AZURE_FEDERATED_TOKEN_FILE, AZURE_AUTHORITY_HOST
                                workload identity, as AKS injects it
  AZURE_STORAGE_KEY             shared key, for stores without identities
  NODE_EXTRA_CA_CERTS           PEM file of authorities to trust beside the public ones
  SKIFF_FAILPOINTS              for tests of faults only

Documentation: README.md, docs/reference/configuration.md
`;

const ENDPOINT_OPTION = `  --endpoint NAMESPACE/NAME   the endpoint. Default: that of the pod, or the only one in the database`;

/** `skiff <command> --help`, where there is more to say. */
export const COMMAND_HELP: Readonly<Record<string, string>> = {
  deliveries: `skiff deliveries: what became of events at the targets of routes

  kubectl exec -n NAMESPACE deploy/ROUTER -- skiff deliveries list --route team/invoices
  kubectl exec -n NAMESPACE deploy/ROUTER -- skiff deliveries replay --route team/invoices

skiff deliveries list      the last to change first
  --route NAMESPACE/NAME      of this EventRoute only
  --target NAME               to this target only
  --event ID                  of this event only
  --state STATE               waiting, succeeded or dead. Default: dead; with --event: every one
  --before TIME               changed before, such as 2026-01-31T12:00:00Z
  --limit NUMBER              at most so many, up to 1000. Default: 100
  --after POSITION            the next page: what the one before has printed
  -o, --output json           one JSON object per line

skiff deliveries replay    makes dead deliveries due again, with all their attempts; the routers deliver them
  --route, --target, --event  which: a route or an event at least, or
  --all                       every dead delivery of the endpoint
  --dry-run                   only count them
  --batch-size NUMBER         so many in one transaction, up to 10000. Default: 500
  Only those that are dead when the command starts. Stopped in between, it can be run again. Dead deliveries are kept for 14 days.

Both
${ENDPOINT_OPTION}

Exit codes: 0 done, 1 it failed, 2 it was called wrongly.
`,
  routes: `skiff routes explain: which routes in force would take an event, and why the others would not. Nothing is delivered.

  kubectl exec -i -n NAMESPACE deploy/ROUTER -- skiff routes explain --event - < event.json

  --event FILE                the event as JSON, or any other JSON message; - reads standard input
  --route NAMESPACE/NAME      only this route
  -o, --output json           one JSON object per line
${ENDPOINT_OPTION}

Exit codes: 0 done, whether or not a route takes it, 1 it failed, 2 it was called wrongly.
`,
};
