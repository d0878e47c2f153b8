import type { Secret } from '@skiff/runtime/secret';
import { HttpTargetError } from './http-target-error.ts';

/** Gives the value of the `authorization` header. */
export interface Authorization {
  /** @throws {AuthorizationError} when there is none to be had now. */
  header(signal: AbortSignal): Promise<string>;
  /** The target answered 401. True when a later try will have something new to show. */
  refused(): boolean;
  close(): Promise<void>;
}

/** No token could be had. Another try may succeed. */
export class AuthorizationError extends Error {
  readonly code = 'NoToken';
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'AuthorizationError';
  }
}

/** Where tokens of Entra ID come from; they are cached there. */
export interface AccessTokenSource {
  getToken(scope: string, options: { readonly abortSignal: AbortSignal }): Promise<{ readonly token: string } | null>;
}

/** @throws {HttpTargetError} when the token holds characters that no header takes. */
export function bearerAuthorization(token: Secret<string>): Authorization {
  return fixed(`Bearer ${headerSafe(token.reveal().trim())}`);
}

/** RFC 7617; user name and password are sent as UTF-8. */
export function basicAuthorization(username: string, password: Secret<string>): Authorization {
  return fixed(basicCredentials(username, password));
}

export function basicCredentials(username: string, password: Secret<string>): string {
  return `Basic ${Buffer.from(`${username}:${password.reveal().replace(/\r?\n$/, '')}`).toString('base64')}`;
}

/** The router's own identity. */
export function workloadIdentityAuthorization(tokens: AccessTokenSource, scope: string): Authorization {
  return {
    async header(signal) {
      try {
        const token = await tokens.getToken(scope, { abortSignal: signal });
        if (token === null) throw new AuthorizationError('no access token: the identity gave none');
        return `Bearer ${headerSafe(token.token)}`;
      } catch (cause) {
        if (signal.aborted) throw signal.reason;
        throw new AuthorizationError(`no access token: ${cause instanceof Error ? cause.message : 'unknown failure'}`, { cause });
      }
    },
    refused: () => false,
    close: () => Promise.resolve(),
  };
}

function fixed(value: string): Authorization {
  return { header: () => Promise.resolve(value), refused: () => false, close: () => Promise.resolve() };
}

/** The error says nothing of the token. */
export function headerSafe(token: string): string {
  if (!/^[\x21-\x7e]{1,16384}$/.test(token)) throw new HttpTargetError('the token is empty or holds characters that HTTP does not allow');
  return token;
}
