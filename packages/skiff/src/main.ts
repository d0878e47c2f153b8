import { createLogger } from '@skiff/runtime/logger';
import { readConfiguration } from './configuration/configuration.ts';
import { ConfigurationError, Environment } from './configuration/environment.ts';
import { COMMAND_HELP, HELP } from './help.ts';
import type { Mode } from './modes/mode.ts';
import { VERSION } from './version.ts';

/** Each mode loads only what it needs. */
const MODES: Readonly<Record<string, () => Promise<Mode>>> = {
  operator: async () => (await import('./modes/operator.ts')).runOperator,
  standalone: async () => (await import('./modes/standalone.ts')).runStandalone,
  'sftp-server': async () => (await import('./modes/sftp-server.ts')).runSftpServer,
  router: async () => (await import('./modes/router.ts')).runRouter,
  deliveries: async () => (await import('./modes/deliveries.ts')).runDeliveries,
  routes: async () => (await import('./modes/routes.ts')).runRoutes,
  'hash-password': async () => (await import('./modes/hash-password.ts')).runHashPassword,
  'self-check': async () => (await import('./modes/self-check.ts')).runSelfCheck,
  'smoke-test': async () => (await import('./modes/smoke-test.ts')).runSmokeTest,
};

/** Exit codes: 0 all well, 1 it failed, 2 it was called or configured wrongly (sysexits would say 64 and 78; shells expect 2). */
async function main(argv: readonly string[]): Promise<number> {
  const [name, ...args] = argv;
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    process.stdout.write(HELP);
    return name === undefined ? 2 : 0;
  }
  if (name === '--version' || name === 'version') {
    process.stdout.write(`skiff ${VERSION}\n`);
    return 0;
  }
  const load = Object.hasOwn(MODES, name) ? MODES[name] : undefined;
  if (load === undefined) throw new ConfigurationError(`there is no mode ${JSON.stringify(name)}: skiff ${Object.keys(MODES).join(' | ')}`);
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(Object.hasOwn(COMMAND_HELP, name) ? (COMMAND_HELP[name] ?? HELP) : HELP);
    return 0;
  }
  const environment = new Environment(process.env);
  const configuration = readConfiguration(environment);
  const logger = createLogger({ level: configuration.logLevel, name: `skiff-${name}` });
  process.on('uncaughtException', (error) => {
    // State is unknown from here on: say why and end; rows and leases let others finish what was under way.
    logger.error({ err: error }, 'uncaught exception, ending');
    process.exit(1);
  });
  const run = await load();
  return run({ configuration, environment, logger, args });
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof ConfigurationError)) throw error;
  process.stderr.write(`skiff: ${error.message}\n`);
  process.exitCode = 2;
}
