import type { SkiffEvent } from '@skiff/model/skiff-event';

/** The attributes of a CloudEvent as text, without its data. Empty for messages that are no events. */
export function attributesOf(event: SkiffEvent | undefined): Readonly<Record<string, string>> {
  if (event === undefined) return {};
  const { data: _, datacontenttype: __, ...attributes } = event;
  const texts: Record<string, string> = {};
  for (const [name, value] of Object.entries<unknown>(attributes)) {
    // Lower-case letters and digits (CloudEvents 1.0.2, naming conventions).
    if (!/^[a-z0-9]{1,64}$/.test(name)) continue;
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') texts[name] = String(value);
  }
  return texts;
}
