import type { EndpointSettings } from '@skiff/model/endpoint-settings';

/** What a running SFTP server takes over from its changed settings. For the rest its pod is replaced, and until then it keeps to what it was started with. */
const RELOADABLE = ['clientAddress', 'allowedSourceRanges', 'eventTypes', 'maxSessions'] as const satisfies (keyof EndpointSettings)[];

/** What a change of rolls the Deployment. The port is that of the Service: pods listen on one of their own. */
export function fixedSettings(settings: EndpointSettings): Readonly<Record<string, unknown>> {
  const reloadable: readonly string[] = [...RELOADABLE, 'port'];
  return Object.fromEntries(Object.entries(settings).filter(([field]) => !reloadable.includes(field)));
}

/** The settings that a server goes on with after a change of its file. */
export function reloadSettings(running: EndpointSettings, changed: EndpointSettings): EndpointSettings {
  const { clientAddress: _address, eventTypes: _types, ...kept } = running;
  const { clientAddress, allowedSourceRanges, eventTypes, maxSessions }: Pick<EndpointSettings, (typeof RELOADABLE)[number]> = changed;
  return {
    ...kept,
    ...(clientAddress === undefined ? {} : { clientAddress }),
    allowedSourceRanges,
    ...(eventTypes === undefined ? {} : { eventTypes }),
    maxSessions,
  };
}
