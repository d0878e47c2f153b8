import Type from 'typebox';

/** A DNS label, the name of most Kubernetes objects. */
export const OBJECT_NAME_PATTERN = '^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$';

export const ObjectName = (description: string) => Type.String({ pattern: OBJECT_NAME_PATTERN, description });

/** `192.0.2.0/24`, `2001:db8::/32` or a single address. The exact form is checked by the policy; this keeps nonsense out early. */
export const Cidr = Type.String({ pattern: '^[0-9a-fA-F.:]{2,45}(/[0-9]{1,3})?$', description: 'CIDR range such as `192.0.2.0/24`, or a single address.' });

export const Port = (options: { readonly default?: number; readonly description: string }) => Type.Integer({ minimum: 1, maximum: 65535, ...options });

export const Timestamp = (description: string) => Type.String({ format: 'date-time', description });
