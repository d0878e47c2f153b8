/** The target cannot work as it is described. */
export class HttpTargetError extends Error {
  readonly code = 'InvalidTarget';
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'HttpTargetError';
  }
}
