import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { compileRouteExpression, type ExpressionResult, MAX_EXPRESSION_LENGTH, RouteExpressionError } from './route-expression.ts';

function evaluate(text: string, body: unknown, sizeBytes = 100): ExpressionResult {
  return compileRouteExpression(text).evaluate({ event: undefined, body, sizeBytes });
}

describe('route expression', () => {
  it('compares numbers of JSON with integers and decimals', () => {
    for (const text of [
      'body.n == 3',
      'body.n > 2',
      'body.n < 3.5',
      'body.n in [1, 2, 3]',
      'body.d > 1',
      'body.list.exists(x, x == 2)',
      'size(body.list) == 2',
    ]) {
      assert.equal(evaluate(text, { n: 3, d: 1.5, list: [1, 2] }), 'true', text);
    }
  });

  it('fails without throwing where a field is missing or the answer is no truth value', () => {
    for (const text of ['body.x == 1', 'body.n', 'body.n.m == 1', 'body.n + "a" == "b"', 'body.constructor == 1', 'body.__proto__ == 1']) {
      assert.equal(typeof evaluate(text, { n: 3 }), 'object', text);
    }
    assert.equal(evaluate('has(body.x)', { n: 3 }), 'false');
  });

  it('refuses what is no condition, and what could take unbounded time', () => {
    for (const text of [
      '1 +',
      '1 + 1',
      'unknown == 1',
      'body.name.matches("(a+)+$")',
      'matches(body.name, "a")',
      'body.list.all(x, body.list.exists(y, x == y))',
      'body.list.map(x, x).filter(y, body.list.exists(z, z == y)).size() > 0',
      `body.n == ${'1 + '.repeat(200)}1`,
      `${'('.repeat(60)}true${')'.repeat(60)}`,
      `body.name == "${'x'.repeat(MAX_EXPRESSION_LENGTH)}"`,
    ]) {
      assert.throws(() => compileRouteExpression(text), RouteExpressionError, text);
    }
  });

  it('iterates over no message that is large, and over one that is not in a short time', () => {
    const list = Array.from({ length: 15_000 }, (_, index) => index);
    const text = `body.all(x, ${Array.from({ length: 20 }, (_, index) => `x != -${index + 1}`).join(' && ')})`;
    const begun = performance.now();
    assert.equal(evaluate(text, list, 64 * 1024), 'true');
    assert.ok(performance.now() - begun < 3000, `${performance.now() - begun} ms`);
    assert.equal(typeof evaluate(text, list, 64 * 1024 + 1), 'object');
    assert.equal(evaluate('body[0] == 0', list, 1_000_000), 'true');
  });

  it('either compiles or refuses any text, and evaluates over any JSON without throwing', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.constantFrom('body == 1', 'body.a[0] == "x"', 'size(body) > 0', 'body.a.exists(x, x)')),
        fc.jsonValue(),
        (text, body) => {
          try {
            compileRouteExpression(text).evaluate({ event: undefined, body, sizeBytes: 10 });
          } catch (error) {
            assert.ok(error instanceof RouteExpressionError, String(error));
          }
        },
      ),
    );
  });
});
