import { readFile } from 'node:fs/promises';
import { Value } from 'typebox/value';
import { announceReady, endOnSignal } from '../emulator-main.ts';
import { TokenServiceConfig } from './config.ts';
import { startTokenService } from './server.ts';

/** `node main.ts config.json` */
const config: unknown = JSON.parse(await readFile(process.argv[2] ?? 'config.json', 'utf8'));
Value.Assert(TokenServiceConfig, config);
const service = await startTokenService(config);
endOnSignal(() => service.stop());
announceReady({ port: service.port, url: service.url });
