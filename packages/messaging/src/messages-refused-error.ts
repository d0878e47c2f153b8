import { StoreError } from '@skiff/model/store-error';

/** The queue will never take some of the messages, such as one above its size limit. All others of the same call were confirmed. */
export class MessagesRefusedError extends StoreError {
  /** The broker's reason by message id. */
  readonly refused: ReadonlyMap<string, string>;
  constructor(refused: ReadonlyMap<string, string>) {
    const [first] = refused.values();
    super({ code: 'invalid', message: `${refused.size} refused: ${first}`, vendorCode: 'MessagesRefused' });
    this.name = 'MessagesRefusedError';
    this.refused = refused;
  }
}
