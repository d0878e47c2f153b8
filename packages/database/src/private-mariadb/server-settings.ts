/** Small in memory, safe on disk. */
export const SERVER_SETTINGS: readonly string[] = [
  '--innodb-buffer-pool-size=64M',
  '--innodb-log-file-size=16M',
  '--innodb-log-buffer-size=4M',
  '--key-buffer-size=1M',
  '--aria-pagecache-buffer-size=8M',
  '--tmp-table-size=8M',
  '--max-heap-table-size=8M',
  '--table-open-cache=400',
  '--max-connections=200',
  '--max-allowed-packet=64M',
  '--performance-schema=OFF',
  '--skip-log-bin',
  '--skip-name-resolve',
  '--innodb-flush-log-at-trx-commit=1',
  '--innodb-doublewrite=ON',
  '--innodb-fast-shutdown=1',
  '--character-set-server=utf8mb4',
  '--collation-server=utf8mb4_bin',
];

/**
 * POSIX shell: `sh -c SCRIPT name COUNT path… command…`. Starts the command, waits for the pipe on standard input to close
 * (our end) or for the command to end, shuts the command down, and deletes the COUNT paths. SIGUSR1: kills the command.
 */
export const SUPERVISOR_SCRIPT = `
count=$1; shift
exec 3<&0
n=0
while [ $n -lt $count ]; do n=$((n+1)); eval "path_$n=\\$1"; shift; done
"$@" </dev/null 3<&- &
server=$!
trap 'kill -TERM $server 2>/dev/null' TERM INT HUP
trap 'kill -KILL $server 2>/dev/null' USR1
( trap - TERM INT HUP USR1; cat <&3 >/dev/null 2>&1; kill -TERM $server 2>/dev/null; sleep 20; kill -KILL $server 2>/dev/null ) &
watcher=$!
exec 3<&-
wait $server; status=$?
while kill -0 $server 2>/dev/null; do wait $server; status=$?; done
kill -KILL $watcher 2>/dev/null
n=0
while [ $n -lt $count ]; do n=$((n+1)); eval "rm -rf -- \\"\\$path_$n\\""; done
exit $status
`;
