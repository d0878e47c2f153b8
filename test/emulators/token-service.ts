import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Type from 'typebox';
import { Value } from 'typebox/value';
import type { Certificates } from './certificates.ts';
import { type EmulatorProcess, startEmulator } from './emulator-process.ts';
import type { Application, TokenServiceConfig } from './token-service/config.ts';

const Ready = Type.Object({ port: Type.Integer(), url: Type.String() });

export interface TokenServiceProps {
  readonly dir: string;
  readonly certificates: Certificates;
  readonly tenantId: string;
  readonly applications: readonly Application[];
  /** Default 3,599, as Entra ID. */
  readonly tokenLifetimeSeconds?: number;
  readonly host?: string;
  readonly port?: number;
  readonly publicUrl?: string;
}

export interface TokenServiceProcess extends EmulatorProcess {
  /** `https://localhost:<port>`; with a slash at its end, the value for `AZURE_AUTHORITY_HOST`. */
  readonly url: string;
}

/** The token service in a child process. */
export async function startTokenServiceProcess(props: TokenServiceProps): Promise<TokenServiceProcess> {
  await mkdir(props.dir, { recursive: true });
  let port = props.port ?? 0;
  let url = '';
  const configFile = join(props.dir, 'config.json');
  const child = await startEmulator({
    name: 'token-service',
    entry: fileURLToPath(new URL('token-service/main.ts', import.meta.url)),
    args: async () => {
      const config: TokenServiceConfig = {
        host: props.host ?? '127.0.0.1',
        port,
        ...(props.publicUrl === undefined ? {} : { publicUrl: props.publicUrl }),
        keyFile: props.certificates.keyFile,
        certFile: props.certificates.certFile,
        signingKeyFile: join(props.dir, 'signing-key.pem'),
        tenantId: props.tenantId,
        tokenLifetimeSeconds: props.tokenLifetimeSeconds ?? 3_599,
        applications: [...props.applications],
      };
      await writeFile(configFile, JSON.stringify(config, null, 2));
      return [configFile];
    },
    onReady: (ready) => {
      Value.Assert(Ready, ready);
      ({ port, url } = ready);
    },
  });
  return Object.assign(child, { url });
}
