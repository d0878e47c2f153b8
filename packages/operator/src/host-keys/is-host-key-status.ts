import { HOST_KEY_STATES, type HostKeyStatus } from '@skiff/model/host-key';
import { isRecord } from '@skiff/model/is-record';

const STATES: readonly unknown[] = HOST_KEY_STATES;

export function isHostKeyStatus(value: unknown): value is HostKeyStatus {
  return (
    isRecord(value) &&
    STATES.includes(value.state) &&
    [value.name, value.algorithm, value.fingerprint, value.publicKey].every((text) => typeof text === 'string')
  );
}
