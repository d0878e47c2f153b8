/** One upload as its client has seen it. */
export interface Attempt {
  /** 32 hexadecimal digits; the content names it. */
  readonly id: string;
  readonly username: string;
  /** As the client names it. */
  readonly path: string;
  readonly blob: string;
  readonly sizeBytes: number;
  readonly startedMs: number;
  readonly endedMs: number;
  /** `acknowledged`: CLOSE was answered OK. `refused`: the server said no. `unknown`: no answer. */
  readonly outcome: 'acknowledged' | 'refused' | 'unknown';
  readonly reason: string;
}

/** A committed version as it was found: by a reader during the run, or at its end. */
export interface Version {
  readonly blob: string;
  readonly sizeBytes: number;
  /** The attempt whose content it is, whole; `undefined`: of none. */
  readonly attempt: string | undefined;
  /** The id that the blob's metadata carries. */
  readonly operationId: string | undefined;
}

/** A `dev.skiff.file.uploaded` as a target has received it. */
export interface Arrival {
  readonly target: string;
  readonly id: string;
  readonly operationId: string;
  readonly blob: string;
  readonly username: string;
  readonly sequence: string;
  readonly sizeBytes: number | undefined;
}

/** A row of the operation log at the end. */
export interface LoggedOperation {
  readonly id: string;
  readonly state: string;
  readonly blob: string;
  readonly sequence: bigint | null;
}

export interface History {
  readonly attempts: readonly Attempt[];
  /** Found by readers while the run went on. */
  readonly readings: readonly Version[];
  /** What stands there at the end. */
  readonly versions: readonly Version[];
  readonly arrivals: readonly Arrival[];
  readonly operations: readonly LoggedOperation[];
  readonly targets: readonly string[];
}
