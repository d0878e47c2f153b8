import { readFile } from 'node:fs/promises';
import { openDatabase } from '@skiff/database/connect';
import type { PrivateMariadb } from '@skiff/database/private-mariadb';
import { silentLogger } from '@skiff/runtime/logger';
import { sql } from 'kysely';

/** What a server was asked, since it started. */
export interface DatabaseLoad {
  readonly statements: number;
  readonly commits: number;
  /** Waits for the disk. */
  readonly syncs: number;
}

export interface DatabaseProbe {
  readonly pid: number;
  read(): Promise<DatabaseLoad>;
  close(): Promise<void>;
}

export async function probeDatabase(mariadb: PrivateMariadb): Promise<DatabaseProbe> {
  const database = openDatabase({ url: mariadb.url, logger: silentLogger, poolSize: 1 });
  const { rows } = await sql<{ file: string }>`SELECT @@pid_file AS file`.execute(database.queries);
  const pid = Number(await readFile(rows[0]?.file ?? '', 'utf8'));
  return {
    pid,
    async read() {
      const status = await sql<{ Variable_name: string; Value: string }>`SHOW GLOBAL STATUS`.execute(database.queries);
      const values = new Map(status.rows.map((row) => [row.Variable_name, Number(row.Value)]));
      const of = (name: string) => values.get(name) ?? Number.NaN;
      return { statements: of('Questions'), commits: of('Com_commit'), syncs: of('Innodb_data_fsyncs') };
    },
    close: () => database.close(),
  };
}
