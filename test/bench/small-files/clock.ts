/** Milliseconds of the machine's monotonic clock: the same in every process of this machine (CLOCK_MONOTONIC). */
export function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
