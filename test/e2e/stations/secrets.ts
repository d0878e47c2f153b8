import { AZURITE_KEY } from '../../emulators/azurite.ts';
import { NAMESPACE, RELEASE, type Stage, SYSTEM_NAMESPACE } from '../stage.ts';

const NAMESPACES = [SYSTEM_NAMESPACE, NAMESPACE];
const CONNECTION_STRING = /SharedAccessKey=|AccountKey=|DefaultEndpointsProtocol=/;

/** No secret lies where it need not, pods hold no token for the Kubernetes API, and the operator reads no Secret it was not given. */
export async function inspectSecrets(stage: Stage): Promise<void> {
  const { kube, checks, databasePassword, password } = stage;
  const findings: string[] = [];
  const look = (where: string, text: string, canaries: readonly string[]): void => {
    if (CONNECTION_STRING.test(text)) findings.push(`a connection string in ${where}`);
    for (const canary of canaries) if (text.includes(canary)) findings.push(`a secret in ${where}`);
  };
  const canaries = [AZURITE_KEY, databasePassword, password];
  for (const namespace of NAMESPACES) {
    for (const kind of ['configmaps', 'deployments', 'pods', 'events', 'sftpendpoints', 'sftpusers', 'eventroutes']) {
      look(`${kind} of ${namespace}`, await kube.run(['-n', namespace, 'get', kind, '-o', 'json']), canaries);
    }
    for (const { name, text } of await secretsOf(stage, namespace)) {
      // MariaDB wants a password: it is where DESIGN puts it, and nowhere else.
      look(`Secret ${namespace}/${name}`, text, name.endsWith('-database') ? [AZURITE_KEY, password] : canaries);
    }
    const pods = (await kube.value(['-n', namespace, 'get', 'pods'], '{.items[*].metadata.name}')).split(' ').filter((name) => name.startsWith('skiff'));
    for (const pod of pods) look(`log of ${namespace}/${pod}`, await kube.run(['-n', namespace, 'logs', pod, '--all-containers']), canaries);
  }
  if (findings.length > 0) console.error(findings.join('\n'));
  checks.add('secrets: keys, passwords and connection strings found where none belongs', findings.length, '', '== 0');
  checks.add('secrets: endpoint pods that mount a Kubernetes API token', await podsWithApiToken(stage), '', '== 0');
  const mayRead = await mayReadSecrets(stage, 'kube-system');
  checks.add('secrets: the operator may read Secrets of namespaces that were not listed', mayRead ? 1 : 0, '', '== 0');
}

async function secretsOf({ kube }: Stage, namespace: string): Promise<readonly { readonly name: string; readonly text: string }[]> {
  const rows = await kube.run(['-n', namespace, 'get', 'secrets', '-o', 'go-template={{range .items}}{{.metadata.name}}{{range .data}} {{.}}{{end}}\n{{end}}']);
  return rows
    .split('\n')
    .filter((row) => row !== '')
    .map((row) => {
      const [name = '', ...values] = row.split(' ');
      return { name, text: values.map((value) => Buffer.from(value, 'base64').toString('latin1')).join('\n') };
    });
}

async function podsWithApiToken({ kube }: Stage): Promise<number> {
  const path = '{range .items[*]}{.spec.containers[*].volumeMounts[*].mountPath}{"\\n"}{end}';
  const mounts = await kube.value(['-n', NAMESPACE, 'get', 'pods', '-l', 'app.kubernetes.io/name=skiff'], path);
  return mounts.split('\n').filter((line) => line.includes('/var/run/secrets/kubernetes.io/serviceaccount')).length;
}

async function mayReadSecrets({ kube }: Stage, namespace: string): Promise<boolean> {
  const account = `--as=system:serviceaccount:${SYSTEM_NAMESPACE}:${RELEASE}`;
  return kube.run(['auth', 'can-i', 'get', 'secrets', '-n', namespace, account]).then(
    (answer) => answer.trim() === 'yes',
    () => false,
  );
}
