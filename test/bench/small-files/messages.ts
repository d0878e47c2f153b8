import Type, { type Static } from 'typebox';

/** Times are those of {@link machineMs}. */
const Timed = Type.Tuple([Type.String(), Type.Number()]);

export const ArrivalsSchema = Type.Object({ arrivals: Type.Array(Timed), repeated: Type.Integer() });
/** When the event of each path reached the application first, and how many came again. */
export type Arrivals = Static<typeof ArrivalsSchema>;

export const LoadSchema = Type.Object({
  host: Type.String(),
  port: Type.Integer(),
  username: Type.String(),
  keyFile: Type.String(),
  sessions: Type.Integer({ minimum: 1 }),
  sizeBytes: Type.Integer({ minimum: 0 }),
  ratePerSecond: Type.Number({ exclusiveMinimum: 0 }),
  seconds: Type.Number({ exclusiveMinimum: 0 }),
  /** Directory of the files: each run has its own. */
  directory: Type.String(),
});
export type Load = Static<typeof LoadSchema>;

export const UploadedSchema = Type.Object({
  path: Type.String(),
  /** When it was due by the rate: a late start counts as waiting. */
  dueMs: Type.Number(),
  /** When the answer to CLOSE came; null: it failed. */
  closedMs: Type.Union([Type.Number(), Type.Null()]),
  /** Of CLOSE alone. */
  closeMs: Type.Number(),
});
export type Uploaded = Static<typeof UploadedSchema>;
export const LoadResultSchema = Type.Object({ uploads: Type.Array(UploadedSchema), failure: Type.String() });
export type LoadResult = Static<typeof LoadResultSchema>;
