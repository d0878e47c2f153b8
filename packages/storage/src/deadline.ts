import { StoreError } from '@skiff/model/store-error';

/**
 * Runs one call that ends with the caller's signal or after `timeoutMs`, whichever is first. Whatever the call threw, the
 * caller then learns which of the two it was: `aborted` is its own wish, `unavailable` (vendor code `Timeout`) is an unknown outcome.
 */
export async function withDeadline<Result>(signal: AbortSignal, timeoutMs: number, call: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
  if (signal.aborted) throw aborted(signal);
  const controller = new AbortController();
  let ended: StoreError | undefined;
  const end = (error: StoreError): void => {
    ended ??= error;
    controller.abort(ended);
  };
  const onAbort = (): void => end(aborted(signal));
  const timer = setTimeout(() => end(timedOut(timeoutMs)), timeoutMs);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await call(controller.signal);
  } catch (error) {
    throw ended ?? error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  }
}

function aborted(signal: AbortSignal): StoreError {
  return new StoreError({ code: 'aborted', message: 'the call was aborted', cause: signal.reason });
}

function timedOut(timeoutMs: number): StoreError {
  return new StoreError({ code: 'unavailable', message: `no answer within ${timeoutMs} ms`, vendorCode: 'Timeout' });
}
