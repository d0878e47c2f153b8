import { readFileSync } from 'node:fs';

/** USER_HZ: 100 on every Linux that matters (getconf CLK_TCK). */
const TICKS_PER_SECOND = 100;

/** CPU seconds, user and system, that a process and its ended children have used. Linux only (proc(5), /proc/pid/stat). */
export function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The command's name may hold blanks and parentheses: fields are counted from after the last one.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [utime, stime, cutime, cstime] = [11, 12, 13, 14].map((index) => Number(fields[index]));
  return ((utime ?? 0) + (stime ?? 0) + (cutime ?? 0) + (cstime ?? 0)) / TICKS_PER_SECOND;
}

/** Of several, by name. */
export function cpuOf(processes: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
  return new Map([...processes].map(([name, pid]) => [name, cpuSecondsOf(pid)]));
}

/** CPU seconds that the whole machine has worked since it started, all cores together (proc(5), /proc/stat). */
export function machineCpuSeconds(): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = (/^cpu +(.*)$/m.exec(readFileSync('/proc/stat', 'utf8'))?.[1] ?? '')
    .split(' ')
    .map(Number);
  return (user + nice + system + irq + softirq) / TICKS_PER_SECOND;
}

/** Largest resident set so far, in MiB. */
export function peakRssMibOf(pid: number): number {
  const match = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(match?.[1] ?? Number.NaN) / 1024;
}
