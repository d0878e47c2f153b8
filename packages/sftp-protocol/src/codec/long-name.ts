import type { ListedEntry } from '../backend.ts';

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
/** `ls` shows the time of day for half a year back, the year for what is older or in the future. */
const RECENT_SECONDS = 182 * 24 * 3600;
const TYPE_MASK = 0o170000;
const DIRECTORY = 0o040000;

/** A line of `ls -l`, which some clients show and a few parse (draft section 7, SSH_FXP_NAME). Times are UTC. */
export function longName(entry: ListedEntry, nowSeconds: number): string {
  const { attributes } = entry;
  const mode = attributes.mode ?? 0o100644;
  const owner = String(attributes.uid ?? 0).padEnd(8);
  const group = String(attributes.gid ?? 0).padEnd(8);
  const size = String(attributes.sizeBytes ?? 0).padStart(12);
  return `${modeText(mode)} 1 ${owner} ${group} ${size} ${timeText(attributes.modifiedAt ?? 0, nowSeconds)} ${entry.name}`;
}

function modeText(mode: number): string {
  const bits = 'rwxrwxrwx';
  let text = (mode & TYPE_MASK) === DIRECTORY ? 'd' : '-';
  for (let index = 0; index < bits.length; index++) text += (mode >> (8 - index)) & 1 ? bits.charAt(index) : '-';
  return text;
}

function timeText(seconds: number, nowSeconds: number): string {
  const time = new Date(Math.trunc(seconds) * 1000);
  const day = `${MONTHS[time.getUTCMonth()] ?? 'Jan'} ${String(time.getUTCDate()).padStart(2)}`;
  const age = nowSeconds - seconds;
  if (age < 0 || age > RECENT_SECONDS) return `${day}  ${time.getUTCFullYear()}`;
  return `${day} ${String(time.getUTCHours()).padStart(2, '0')}:${String(time.getUTCMinutes()).padStart(2, '0')}`;
}
