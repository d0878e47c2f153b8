import Type from 'typebox';
import { FILE_EVENT_TYPES, FileEvent, FileEventData, type FileEventType } from './file-event.ts';

interface EventText {
  readonly when: string;
  /** Fields of `data` that this type always has, beside those that every type has. */
  readonly always: readonly (keyof FileEventData)[];
}

const TEXTS: Readonly<Record<FileEventType, EventText>> = {
  'dev.skiff.file.uploaded': { when: 'A file is complete: a new one, or a new version of one.', always: ['sizeBytes'] },
  'dev.skiff.file.removed': { when: 'A user has removed a file.', always: ['sizeBytes'] },
  'dev.skiff.file.renamed': { when: 'A user has given a file another name; one of that name was replaced.', always: ['sourcePath', 'sizeBytes'] },
  'dev.skiff.directory.created': { when: 'A user has made a directory. Directories that exist only through files in them have no event.', always: [] },
  'dev.skiff.directory.removed': { when: 'A user has removed an empty directory.', always: [] },
  'dev.skiff.directory.renamed': {
    when: 'A user has given a directory another name: all files below it have moved. No events of the single files.',
    always: ['sourcePath'],
  },
};

/** JSON Schema of one type of event in CloudEvents' structured JSON form. */
export function eventSchema(type: FileEventType): Readonly<Record<string, unknown>> {
  const data = Type.Object({ ...FileEventData.properties });
  const required = [...new Set([...(FileEventData.required ?? []), ...TEXTS[type].always])];
  const schema = Type.Object({ ...FileEvent.properties, type: Type.Literal(type), data: { ...data, required } });
  return { $schema: 'https://json-schema.org/draft/2020-12/schema', title: type, description: TEXTS[type].when, ...toPlain(schema) };
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
    '## Attributes',
    '',
    ...table(FileEvent.properties, FileEvent.required ?? []),
    '',
    '## data',
    '',
    ...table(FileEventData.properties, FileEventData.required ?? []),
    '',
    '## Types',
    '',
    '| Type | When | Always has |',
    '|---|---|---|',
    ...FILE_EVENT_TYPES.map(
      (type) => `| [\`${type}\`](events/${type}.json) | ${TEXTS[type].when} | ${TEXTS[type].always.map((field) => `\`${field}\``).join(', ')} |`,
    ),
    '',
  ];
  return lines.join('\n');
}

function table(properties: Readonly<Record<string, object>>, required: readonly string[]): readonly string[] {
  const rows = Object.entries(properties).map(([name, schema]) => {
    const { type, description, const: constant }: Readonly<Record<string, unknown>> = { ...schema };
    const kind = constant === undefined ? String(type) : `\`${String(constant)}\``;
    return `| \`${name}\` | ${kind} | ${required.includes(name) ? 'yes' : 'no'} | ${typeof description === 'string' ? description : ''} |`;
  });
  return ['| Name | Type | Always | Meaning |', '|---|---|---|---|', ...rows];
}
