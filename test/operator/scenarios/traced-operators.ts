import { randomBytes } from 'node:crypto';
import { openDatabase } from '@skiff/database/connect';
import { sharedMariadb } from '@skiff/database/testing';
import { silentLogger } from '@skiff/runtime/logger';
import { Secret } from '@skiff/runtime/secret';
import { sql } from 'kysely';
import type { SkiffProcess } from '../../support/skiff-process.ts';
import type { OperatorRig } from '../operator-rig.ts';
import { type AuditedWrites, idOfToken, readAuditLog } from './audit-log.ts';
import type { Write } from './writers.ts';

const CHANGES_ROWS = '^(insert|update|delete|replace|create|alter|drop)[[:space:]]';

/** Operators that the API server and MariaDB can tell apart: each has a token and a database account of its own. */
export class TracedOperators implements AsyncDisposable {
  readonly #rig: OperatorRig;
  readonly #admin: ReturnType<typeof openDatabase>;
  readonly #processOfToken = new Map<string, string>();
  readonly #processes: SkiffProcess[] = [];
  readonly #accounts: string[] = [];

  private constructor(rig: OperatorRig, admin: ReturnType<typeof openDatabase>) {
    this.#rig = rig;
    this.#admin = admin;
  }

  static async start(rig: OperatorRig): Promise<TracedOperators> {
    const admin = openDatabase({ url: (await sharedMariadb()).url, logger: silentLogger, poolSize: 1 });
    await sql`SET GLOBAL log_output = 'TABLE'`.execute(admin.queries);
    await sql`TRUNCATE mysql.general_log`.execute(admin.queries);
    await sql`SET GLOBAL general_log = 1`.execute(admin.queries);
    return new TracedOperators(rig, admin);
  }

  /** One more; its name is how it is told apart. */
  async add(name: string): Promise<SkiffProcess> {
    const token = await this.#rig.newToken();
    this.#processOfToken.set(idOfToken(token), name);
    const operator = await this.#rig.startOperator(name, { token, databaseUrl: await this.#account(name) });
    this.#processes.push(operator);
    return operator;
  }

  get running(): readonly SkiffProcess[] {
    return this.#processes.filter((operator) => operator.running);
  }

  /** Those that say that they lead. */
  get leaders(): readonly SkiffProcess[] {
    return this.running.filter((operator) => operator.lines.findLast(({ msg }) => msg === 'leading' || msg === 'led no longer')?.msg === 'leading');
  }

  async #account(name: string): Promise<Secret<string>> {
    const url = new URL(this.#rig.database.url.reveal());
    url.username = name;
    url.password = randomBytes(12).toString('hex');
    await sql`CREATE USER ${sql.lit(name)}@'localhost' IDENTIFIED BY ${sql.lit(url.password)}`.execute(this.#admin.queries);
    this.#accounts.push(name);
    await sql`GRANT ALL PRIVILEGES ON ${sql.id(url.pathname.slice(1))}.* TO ${sql.lit(name)}@'localhost'`.execute(this.#admin.queries);
    return new Secret(url.href);
  }

  /** What they have written so far, by the records of API server and MariaDB. */
  async writes(): Promise<AuditedWrites> {
    const audited = await readAuditLog(this.#rig.auditLog, this.#processOfToken);
    return { leases: audited.leases, writes: [...audited.writes, ...(await this.#sqlWrites())] };
  }

  async #sqlWrites(): Promise<readonly Write[]> {
    const { rows } = await sql<{ account: string; at: string; statement: string }>`
      SELECT SUBSTRING_INDEX(user_host, '[', 1) AS account, CAST(UNIX_TIMESTAMP(event_time) * 1000 AS CHAR) AS at, LEFT(CONVERT(argument USING utf8mb4), 60) AS statement
      FROM mysql.general_log
      WHERE command_type IN ('Query', 'Execute') AND CONVERT(argument USING utf8mb4) REGEXP ${CHANGES_ROWS}`.execute(this.#admin.queries);
    return rows
      .filter(({ account }) => this.#accounts.includes(account))
      .map(({ account, at, statement }) => ({ process: account, what: statement, atMs: Number(at) }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#processes.map((operator) => operator.stop()));
    await sql`SET GLOBAL general_log = 0`.execute(this.#admin.queries);
    for (const name of this.#accounts) await sql`DROP USER ${sql.lit(name)}@'localhost'`.execute(this.#admin.queries);
    await this.#admin.close();
  }
}
