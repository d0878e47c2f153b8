import { PERMISSIONS, type Permission, type PermissionRule } from '@skiff/model/permission';
import { StoreError } from '@skiff/model/store-error';
import type { AuthorizedKeyRow, RouteRow, UserRow } from '../resource-rows.ts';

type Fields = Readonly<Record<string, unknown>>;

/** @throws {StoreError} `invalid` when the stored row is not one that an operator writes: such a user cannot log in. */
export function parseUserRow(json: string): UserRow {
  const fields = parseFields(json);
  return {
    username: text(fields, 'username'),
    namespace: text(fields, 'namespace'),
    name: text(fields, 'name'),
    uid: text(fields, 'uid'),
    suspended: flag(fields, 'suspended'),
    expiresAt: optionalText(fields, 'expiresAt'),
    authorizedKeys: list(fields, 'authorizedKeys').map(toKey),
    passwordHash: optionalText(fields, 'passwordHash'),
    allowedSourceRanges: fields.allowedSourceRanges === null ? null : list(fields, 'allowedSourceRanges').map(toText),
    home: text(fields, 'home'),
    permissions: fields.permissions === null ? null : list(fields, 'permissions').map(toRule),
  };
}

/** Match and targets are the operator's copy of an object that the API server has validated; they are not checked again. */
export function parseRouteRow(json: string): RouteRow {
  const fields = parseFields(json);
  const targets = list(fields, 'targets');
  if (!targets.every(isTarget) || !isMatch(fields.match)) throw unreadable('targets');
  return { namespace: text(fields, 'namespace'), name: text(fields, 'name'), uid: text(fields, 'uid'), match: fields.match, targets };
}

function isTarget(value: unknown): value is RouteRow['targets'][number] {
  return isFields(value) && typeof value.name === 'string';
}

function isMatch(value: unknown): value is RouteRow['match'] {
  return value === null || isFields(value);
}

function toKey(value: unknown): AuthorizedKeyRow {
  const fields = toFields(value);
  return { name: text(fields, 'name'), blob: text(fields, 'blob'), expiresAt: optionalText(fields, 'expiresAt') };
}

function toRule(value: unknown): PermissionRule {
  const fields = toFields(value);
  return { path: text(fields, 'path'), allow: list(fields, 'allow').map(toPermission) };
}

function toPermission(value: unknown): Permission {
  return PERMISSIONS.find((permission) => permission === value) ?? fail('permissions');
}

function parseFields(json: string): Fields {
  const value: unknown = JSON.parse(json);
  return toFields(value);
}

function toFields(value: unknown): Fields {
  return isFields(value) ? value : fail('object');
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function text(fields: Fields, key: string): string {
  return toText(fields[key], key);
}

function toText(value: unknown, key: unknown): string {
  return typeof value === 'string' ? value : fail(String(key));
}

function optionalText(fields: Fields, key: string): string | null {
  return fields[key] === null ? null : text(fields, key);
}

function flag(fields: Fields, key: string): boolean {
  const value = fields[key];
  return typeof value === 'boolean' ? value : fail(key);
}

function list(fields: Fields, key: string): unknown[] {
  const value = fields[key];
  return Array.isArray(value) ? value : fail(key);
}

function fail(key: string): never {
  throw unreadable(key);
}

function unreadable(key: string): StoreError {
  return new StoreError({
    code: 'invalid',
    vendorCode: 'ROW_UNREADABLE',
    message: `a stored row cannot be read at ${key}: another program or version wrote it`,
  });
}
