declare const brand: unique symbol;

/** A value that only its minting function may produce: `Brand<string, 'EventId'>` is not assignable from `string`. */
export type Brand<Value, Name extends string> = Value & { readonly [brand]: Name };
