import Type from 'typebox';

/** A DNS subdomain (RFC 1123), the name of most Kubernetes objects. */
export const OBJECT_NAME_PATTERN = '^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$';

export const ObjectName = (description: string) => Type.String({ pattern: OBJECT_NAME_PATTERN, maxLength: 253, description });

/** `192.0.2.0/24`, `2001:db8::/32` or a single address. The exact form is checked by the policy; this keeps nonsense out early. */
export const Cidr = Type.String({
  pattern: '^[0-9a-fA-F.:]{2,45}(/[0-9]{1,3})?$',
  maxLength: 49,
  description: 'CIDR range such as `192.0.2.0/24`, or a single address.',
});

export const Port = (options: { readonly default?: number; readonly description: string }) => Type.Integer({ minimum: 1, maximum: 65535, ...options });

/** RFC 3339 as JavaScript's `Date` reads it: no leap second, upper-case `T` and `Z`. */
const TIMESTAMP_PATTERN = '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$';

export const Timestamp = (description: string) =>
  Type.String({ format: 'date-time', pattern: TIMESTAMP_PATTERN, maxLength: 64, description: `${description} RFC 3339, such as \`2027-01-31T00:00:00Z\`.` });

/** A list that Kubernetes merges entry by entry and in which `key` is unique. */
export const listMapBy = <const Key extends string>(key: Key) => ({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': [key] }) as const;

/** Labels, annotations: any key, string values. */
export const StringMap = (options: { readonly maxProperties: number; readonly description: string }) =>
  Type.Unsafe<Readonly<Record<string, string>>>(Type.Object({}, { additionalProperties: Type.String({ maxLength: 4096 }), ...options }));

/** A list of distinct scalars that Kubernetes merges entry by entry. */
export const LIST_SET = { 'x-kubernetes-list-type': 'set' } as const;

/** The value may be set on creation only. */
export const immutable = (what: string) => ({
  'x-kubernetes-validations': [{ rule: 'self == oldSelf', message: `${what} is immutable: delete the object and create it anew` }],
});

/** Exactly one of the given fields must be there: the field says which kind it is. */
export const exactlyOneOf = (...fields: readonly [string, ...string[]]) => ({
  'x-kubernetes-validations': [
    {
      rule: `${fields.map((field) => `(has(self.${field}) ? 1 : 0)`).join(' + ')} == 1`,
      message: fields.length === 1 ? `${fields[0]} is required` : `exactly one of ${fields.join(', ')} is required`,
    },
  ],
  'x-skiff-exactly-one-of': fields,
});
