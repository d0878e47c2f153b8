import { createHmac } from 'node:crypto';
import { Secret } from '@skiff/runtime/secret';
import { HttpTargetError } from './http-target-error.ts';

/** Signs requests by Standard Webhooks (github.com/standard-webhooks/standard-webhooks, spec 1.0.0). */
export interface WebhookSigner {
  /** `webhook-id`, `webhook-timestamp` and `webhook-signature` of one attempt. */
  headers(eventId: string, body: Buffer, nowMs: number): Readonly<Record<string, string>>;
}

const MIN_KEY_BYTES = 24;
const MAX_KEY_BYTES = 64;

/**
 * One signature per key, so that a receiver may know either while keys change. Keys are base64, with or without `whsec_` before it.
 *
 * @throws {HttpTargetError} for a key that is not base64 of 24 to 64 bytes. The message does not show it.
 */
export function createWebhookSigner(keys: readonly Secret<string>[]): WebhookSigner {
  const parsed = keys.map(parseKey);
  return {
    headers(eventId, body, nowMs) {
      const timestamp = String(Math.floor(nowMs / 1000));
      const signatures = parsed.map((key) => `v1,${createHmac('sha256', key.reveal()).update(`${eventId}.${timestamp}.`).update(body).digest('base64')}`);
      return { 'webhook-id': eventId, 'webhook-timestamp': timestamp, 'webhook-signature': signatures.join(' ') };
    },
  };
}

function parseKey(secret: Secret<string>): Secret<Buffer> {
  const text = secret
    .reveal()
    .trim()
    .replace(/^whsec_/, '');
  const key = Buffer.from(text, 'base64');
  const sound = /^[A-Za-z0-9+/]+={0,2}$/.test(text) && key.length >= MIN_KEY_BYTES && key.length <= MAX_KEY_BYTES;
  if (!sound) throw new HttpTargetError(`the signing key is not base64 of ${MIN_KEY_BYTES} to ${MAX_KEY_BYTES} bytes`);
  return new Secret(key);
}
