import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CircuitBreaker } from './circuit-breaker.ts';

describe('circuit breaker', () => {
  const make = () => {
    const time = { now: 0 };
    const circuit = new CircuitBreaker({ monotonicMs: () => time.now });
    const fail = (times: number): void => {
      for (let count = 0; count < times; count++) circuit.failed();
    };
    return { time, circuit, fail };
  };

  it('opens after five failures in a row and closes with one success', () => {
    const { circuit, fail } = make();
    fail(4);
    circuit.succeeded();
    fail(4);
    assert.equal(circuit.open, false);
    fail(1);
    assert.equal(circuit.open, true);
    circuit.succeeded();
    assert.equal(circuit.open, false);
    assert.equal(circuit.takeTurn(1000), true);
  });

  it('lets a trickle through while it is open: spaced, and two at a time', () => {
    const { time, circuit, fail } = make();
    fail(5);
    assert.deepEqual([circuit.takeTurn(0), circuit.takeTurn(1)], [true, false]);
    time.now = 100;
    assert.deepEqual([circuit.takeTurn(2), circuit.takeTurn(1)], [false, true]);
  });

  it('stretches the pause when the target asks for it, up to a minute', () => {
    const { time, circuit, fail } = make();
    fail(4);
    circuit.failed(3_600_000);
    time.now = 59_999;
    assert.equal(circuit.takeTurn(0), false);
    time.now = 60_000;
    assert.equal(circuit.takeTurn(0), true);
  });
});
