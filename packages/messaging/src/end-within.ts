/** For giving messages back and closing after the handlers were aborted; a broker that is gone must not hold up a stop. */
const SETTLE_GRACE_MS = 2_000;

/** Waits for the work to end. When `signal` fires first, its reason aborts the handlers, and what is left gets a moment longer. */
export async function endWithin(work: Promise<unknown> | undefined, handlers: AbortController, signal: AbortSignal): Promise<void> {
  const outOfTime = Promise.withResolvers<void>();
  let grace: NodeJS.Timeout | undefined;
  const cut = (): void => {
    handlers.abort(signal.reason);
    grace = setTimeout(outOfTime.resolve, SETTLE_GRACE_MS);
  };
  if (signal.aborted) cut();
  signal.addEventListener('abort', cut, { once: true });
  await Promise.race([work, outOfTime.promise]);
  signal.removeEventListener('abort', cut);
  clearTimeout(grace);
}
