import Type from 'typebox';
import { EVENT_EXAMPLES } from './event-examples.ts';
import { EVENT_TYPES, type EventType, isBestEffort } from './event-types.ts';
import { FileEvent, FileEventData } from './file-event.ts';
import { LoginEvent, LoginEventData } from './login-event.ts';

interface EventText {
  readonly when: string;
  /** Fields of `data` that this type always has, beside those that every type of its kind has. */
  readonly always: readonly string[];
}

const TEXTS: Readonly<Record<EventType, EventText>> = {
  'dev.skiff.file.uploaded': { when: 'A file is complete: a new one, or a new version of one.', always: ['sizeBytes'] },
  'dev.skiff.file.removed': { when: 'A user has removed a file.', always: ['sizeBytes'] },
  'dev.skiff.file.renamed': { when: 'A user has given a file another name; one of that name was replaced.', always: ['sourcePath', 'sizeBytes'] },
  'dev.skiff.directory.created': { when: 'A user has made a directory. Directories that exist only through files in them have no event.', always: [] },
  'dev.skiff.directory.removed': { when: 'A user has removed an empty directory.', always: [] },
  'dev.skiff.directory.renamed': {
    when: 'A user has given a directory another name: all files below it have moved. No events of the single files.',
    always: ['sourcePath'],
  },
  'dev.skiff.file.downloaded': {
    when: 'A client is done with a file that it has read from: one event for each handle over which bytes were sent. `complete` tells whether that was the whole file.',
    always: ['sizeBytes', 'bytesSent', 'complete'],
  },
  'dev.skiff.login.succeeded': { when: 'A user has logged in: one event for each connection.', always: ['credential'] },
  'dev.skiff.login.failed': {
    when: 'A password or a signature was refused, or a connection ended after none of its keys was taken.',
    always: ['reason'],
  },
};

/** JSON Schema of one type of event in CloudEvents' structured JSON form. */
export function eventSchema(type: EventType): Readonly<Record<string, unknown>> {
  const { event, data } = isLogin(type) ? { event: LoginEvent, data: LoginEventData } : { event: FileEvent, data: FileEventData };
  const required = [...new Set([...(data.required ?? []), ...TEXTS[type].always])];
  const schema = { ...event, properties: { ...event.properties, type: Type.Literal(type), data: { ...data, required } } };
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: type,
    description: TEXTS[type].when,
    ...toPlain(schema),
    examples: [EVENT_EXAMPLES[type]],
  };
}

function isLogin(type: EventType): boolean {
  return type.startsWith('dev.skiff.login.');
}

/** Without what TypeBox keeps for itself. */
function toPlain(schema: object): Readonly<Record<string, unknown>> {
  return { ...JSON.parse(JSON.stringify(schema)) };
}

/** The reference page of all events, in Markdown. */
export function toEventReference(): string {
  const lines = [
    '# Events',
    '',
    'CloudEvents 1.0, JSON. What is promised of them, and what a consumer must do: [events.md](../events.md).',
    '',
    '## Types',
    '',
    '`spec.events.types` of an endpoint selects among them. Default: all that are guaranteed.',
    '',
    '| Type | When | Always has | Guaranteed |',
    '|---|---|---|---|',
    ...EVENT_TYPES.map((type) => {
      const { when, always } = TEXTS[type];
      return `| [\`${type}\`](events/${type}.json) | ${when} | ${always.map((field) => `\`${field}\``).join(', ')} | ${isBestEffort(type) ? 'no, best effort' : 'yes'} |`;
    }),
    '',
    '## Attributes of events of files and directories',
    '',
    ...table(FileEvent.properties, FileEvent.required ?? []),
    '',
    '### data',
    '',
    ...table(FileEventData.properties, FileEventData.required ?? []),
    '',
    '## Attributes of logins',
    '',
    ...table(LoginEvent.properties, LoginEvent.required ?? []),
    '',
    '### data',
    '',
    ...table(LoginEventData.properties, LoginEventData.required ?? []),
    '',
  ];
  return lines.join('\n');
}

function table(properties: Readonly<Record<string, object>>, required: readonly string[]): readonly string[] {
  const rows = Object.entries(properties).map(([name, schema]) => {
    const { type, description, const: constant, enum: values }: Readonly<Record<string, unknown>> = { ...schema };
    const texts = Array.isArray(values) ? values : constant === undefined ? [] : [constant];
    const kind = texts.length === 0 ? String(type) : texts.map((text) => `\`${String(text)}\``).join(' or ');
    return `| \`${name}\` | ${kind} | ${required.includes(name) ? 'yes' : 'no'} | ${typeof description === 'string' ? description : ''} |`;
  });
  return ['| Name | Type | Always | Meaning |', '|---|---|---|---|', ...rows];
}
