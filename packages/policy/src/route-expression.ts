import { type ASTNode, Environment } from '@marcbachmann/cel-js';

/** What an expression may look at. For a message that is no event of Skiff's, `event` is an empty map. */
export interface ExpressionInput {
  readonly event: object | undefined;
  /** The message's JSON body; for events of Skiff's the event itself. */
  readonly body: unknown;
  /** Size of the body as it came, in bytes. */
  readonly sizeBytes: number;
}

/** `failed`: the expression asks for what the message does not have, or gives something other than true or false. */
export type ExpressionResult = 'true' | 'false' | { readonly failed: string };

export interface RouteExpression {
  evaluate(input: ExpressionInput): ExpressionResult;
}

/** The expression cannot be used. The message says what to write instead. */
export class RouteExpressionError extends Error {
  readonly code = 'InvalidExpression';
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'RouteExpressionError';
  }
}

export const MAX_EXPRESSION_LENGTH = 1024;
/**
 * Evaluation cannot be interrupted, so its cost is bounded beforehand: at most this many nodes, visited once per element of a list at
 * most (no iteration inside another), in a body of at most {@link MAX_ITERATED_BYTES}.
 */
const LIMITS = { maxAstNodes: 128, maxDepth: 24, maxListElements: 64, maxMapEntries: 16, maxCallArguments: 8 };
const MAX_ITERATED_BYTES = 64 * 1024;
const ITERATIONS: ReadonlySet<string> = new Set(['all', 'exists', 'exists_one', 'existsOne', 'map', 'filter']);

let shared: Environment | undefined;

function environment(): Environment {
  shared ??= new Environment({ homogeneousAggregateLiterals: false, limits: LIMITS }).registerVariable('event', 'map').registerVariable('body', 'dyn');
  return shared;
}

/**
 * Reads a condition in CEL (cel.dev) over the variables `event` and `body`.
 *
 * @example compileRouteExpression('event.data.sizeBytes > 1000 && event.data.username != "test"')
 * @throws {RouteExpressionError}
 */
export function compileRouteExpression(text: string): RouteExpression {
  if (text.length > MAX_EXPRESSION_LENGTH) throw new RouteExpressionError(`the expression has more than ${MAX_EXPRESSION_LENGTH} characters`);
  const { iterates, run } = compile(text);
  return {
    evaluate({ event, body, sizeBytes }) {
      if (iterates && sizeBytes > MAX_ITERATED_BYTES) return { failed: `the message has more than ${MAX_ITERATED_BYTES} bytes, too many to iterate over` };
      try {
        const result: unknown = run({ event: event ?? {}, body });
        if (typeof result === 'boolean') return result ? 'true' : 'false';
        return { failed: 'the expression gives neither true nor false' };
      } catch (error) {
        return { failed: summaryOf(error) };
      }
    },
  };
}

interface Compiled {
  readonly iterates: boolean;
  readonly run: (context: { readonly event: object; readonly body: unknown }) => unknown;
}

function compile(text: string): Compiled {
  try {
    const run = environment().parse(text);
    const { type, error } = run.check();
    if (error !== undefined) throw error;
    if (type !== 'bool' && type !== 'dyn') throw new RouteExpressionError(`the expression gives ${type}, and not true or false`);
    return { iterates: checkCost(run.ast, 0), run };
  } catch (error) {
    if (error instanceof RouteExpressionError) throw error;
    throw new RouteExpressionError(summaryOf(error), { cause: error });
  }
}

/** True when the tree iterates over a list. @throws {RouteExpressionError} for what could take unbounded time. */
function checkCost(node: ASTNode, iterations: number): boolean {
  const name = node.op === 'call' ? node.args[0] : node.op === 'rcall' ? node.args[0] : undefined;
  // JavaScript's regular expressions backtrack: one pattern on one name could hold up the router for hours.
  if (name === 'matches') throw new RouteExpressionError('matches() is not available: use match.paths, startsWith, endsWith or contains');
  const iterates = node.op === 'rcall' && ITERATIONS.has(node.args[0]);
  if (iterates && iterations > 0) throw new RouteExpressionError('an iteration inside another is not available');
  let found = iterates;
  for (const child of childrenOf(node.args)) found = checkCost(child, iterations + (iterates ? 1 : 0)) || found;
  return found;
}

function childrenOf(args: unknown): readonly ASTNode[] {
  if (isNode(args)) return [args];
  return Array.isArray(args) ? args.flatMap(childrenOf) : [];
}

function isNode(value: unknown): value is ASTNode {
  return typeof value === 'object' && value !== null && 'op' in value && 'args' in value && !Array.isArray(value);
}

function summaryOf(error: unknown): string {
  if (error instanceof Error && 'summary' in error && typeof error.summary === 'string') return error.summary.slice(0, 200);
  return (error instanceof Error ? error.message : String(error)).split('\n', 1)[0]?.slice(0, 200) ?? '';
}
