import { join } from 'node:path';
import type { Condition, RouteDeliveries } from '@skiff/model/condition';
import type { HostKeyStatus } from '@skiff/model/host-key';
import { isRecord } from '@skiff/model/is-record';
import { readJsonFile } from '../durable-file.ts';
import { isHostKeyStatus } from '../host-keys/is-host-key-status.ts';
import { isCondition } from '../is-condition.ts';
import { isRouteDeliveries } from '../is-route-deliveries.ts';

/** What `status.json` says: the status of each object and what is wrong in the folder. For people and their tools. */
export interface StatusReport {
  /** RFC 3339. */
  readonly writtenAt: string;
  readonly resources: readonly ReportedStatus[];
  readonly problems: readonly ReportedProblem[];
}

export interface ReportedStatus {
  /** `Kind/namespace/name`. */
  readonly ref: string;
  readonly conditions: readonly Condition[];
  readonly hostKeys?: readonly HostKeyStatus[];
  readonly deliveries?: RouteDeliveries;
}

export interface ReportedProblem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

export function statusFilePath(stateDirectory: string): string {
  return join(stateDirectory, 'status.json');
}

/** Undefined where nothing has been written yet. @throws {SyntaxError} when the file is not a status report. */
export async function readStatusFile(stateDirectory: string, signal: AbortSignal): Promise<StatusReport | undefined> {
  const value = await readJsonFile(statusFilePath(stateDirectory), signal);
  if (value === undefined) return undefined;
  if (!isStatusReport(value)) throw new SyntaxError(`${statusFilePath(stateDirectory)} is not a status report`);
  return value;
}

function isStatusReport(value: unknown): value is StatusReport {
  if (!isRecord(value) || typeof value.writtenAt !== 'string') return false;
  const { resources, problems } = value;
  return Array.isArray(resources) && resources.every(isReportedStatus) && Array.isArray(problems) && problems.every(isReportedProblem);
}

function isReportedStatus(value: unknown): boolean {
  if (!isRecord(value) || typeof value.ref !== 'string') return false;
  const { conditions, deliveries, hostKeys } = value;
  if (hostKeys !== undefined && !(Array.isArray(hostKeys) && hostKeys.every(isHostKeyStatus))) return false;
  return Array.isArray(conditions) && conditions.every(isCondition) && (deliveries === undefined || isRouteDeliveries(deliveries));
}

function isReportedProblem(value: unknown): boolean {
  return (
    isRecord(value) && typeof value.file === 'string' && typeof value.line === 'number' && typeof value.column === 'number' && typeof value.message === 'string'
  );
}
