import { readFile } from 'node:fs/promises';
import { createResourceRepository } from '@skiff/database/mysql-resource-repository';
import { errorCodeOf } from '@skiff/model/error-code';
import { objectKey } from '@skiff/model/object-meta';
import type { RouteRow } from '@skiff/model/resource-rows';
import { GlobError } from '@skiff/policy/glob';
import { explainRoutes, type RoutedMessage, type RouteExplanation } from '@skiff/policy/match-routes';
import { RouteExpressionError } from '@skiff/policy/route-expression';
import { MAX_MESSAGE_BYTES, parseMessage } from '@skiff/router/message-parser';
import { ConfigurationError } from '../configuration/environment.ts';
import type { ModeContext } from '../modes/mode.ts';
import { CommandError, withEndpointRows } from './command-database.ts';
import { printable, toJsonLines } from './format-output.ts';
import { jsonOption, parseOptions, routeOption } from './parse-options.ts';

/** `skiff routes explain`: which routes in force would take a message, and why the others would not. Nothing is delivered. */
export async function explainRoutesOf(context: ModeContext): Promise<number> {
  const options = parseOptions(context.args.slice(1), {
    endpoint: { type: 'string' },
    event: { type: 'string' },
    route: { type: 'string' },
    output: { type: 'string', short: 'o' },
  });
  const { endpoint, event: file } = options;
  const json = jsonOption(options.output);
  const wanted = routeOption(options.route);
  if (file === undefined) throw new ConfigurationError('which event? --event FILE, or --event - for standard input');
  const body = await readMessage(file);
  const parsed = parseMessage({ body, contentType: undefined, messageId: undefined });
  if (parsed.kind === 'notAnEvent') throw new CommandError(`the router would set this message aside as NotAnEvent: ${parsed.description}`);
  const rows = await withEndpointRows(context, endpoint, ({ database, endpointId }) => createResourceRepository(database).routes(endpointId));
  const message = { event: parsed.event, json: parsed.json, sizeBytes: body.length };
  const explanations = rows.filter((row) => wanted === undefined || objectKey(row) === wanted).map((row) => explain(row, message));
  if (wanted !== undefined && explanations.length === 0) throw new CommandError(`no route ${wanted} is in force: kubectl describe eventroute says why`);
  const kind = parsed.event === undefined ? 'no event of Skiff, but JSON' : parsed.event.type;
  process.stdout.write(json ? toJsonLines(explanations) : toText(kind, explanations));
  return 0;
}

function explain(row: RouteRow, message: RoutedMessage): RouteExplanation {
  try {
    const [explanation] = explainRoutes([row], message);
    if (explanation !== undefined) return explanation;
  } catch (error) {
    if (!(error instanceof GlobError || error instanceof RouteExpressionError)) throw error;
    return { route: objectKey(row), taken: false, reasons: [`its conditions cannot be read: ${error.message}`], targets: row.targets.map(({ name }) => name) };
  }
  throw new RangeError('a route was not explained');
}

function toText(kind: string, explanations: readonly RouteExplanation[]): string {
  const lines = explanations.map(({ route, taken, reasons, targets }) =>
    taken ? `${route}: takes it, to ${targets.join(', ')}` : [`${route}: does not take it`, ...reasons.map((reason) => `  - ${reason}`)].join('\n'),
  );
  const taking = explanations.filter(({ taken }) => taken).length;
  return `${[`message: ${kind}`, ...lines, `${taking} of ${explanations.length} routes take it`].map((line) => line.split('\n').map(printable).join('\n')).join('\n')}\n`;
}

async function readMessage(file: string): Promise<Buffer> {
  if (file !== '-') {
    try {
      return await readFile(file);
    } catch (cause) {
      throw new CommandError(`${file} cannot be read (${errorCodeOf(cause) ?? 'unknown'})`, { cause });
    }
  }
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin) {
    const part = Buffer.from(chunk);
    chunks.push(part);
    bytes += part.length;
    if (bytes > MAX_MESSAGE_BYTES) break;
  }
  return Buffer.concat(chunks);
}
