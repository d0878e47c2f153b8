# Processes of the cluster. A pidfile holds the pid and the process's start time, so that a pid used again is not taken
# for ours.
# shellcheck shell=bash disable=SC2154

# Nothing for a zombie: an init that reaps late must not make kube-down.sh wait.
start_of() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | awk '$1 != "Z" {print $20}'; }

alive() {
  local pid start
  read -r pid start 2>/dev/null <"$run/$1.pid" || return 1
  [ "$(start_of "$pid")" = "$start" ]
}

start() {
  local name=$1 pid
  shift
  ! alive "$name" || return 0
  local pre=(setsid)
  [ "$mode" != node ] || pre=(nsenter --net="/run/netns/$netns" setsid)
  "${pre[@]}" "$@" >"$logs/$name.log" 2>&1 </dev/null &
  pid=$!
  echo "$pid $(start_of "$pid")" >"$run/$name.pid"
}

# stop NAME [SIGNAL]: TERM or SIGNAL, then KILL after 10 s; only if the pid is still the process that `start` made.
stop() {
  local pid start n
  read -r pid start 2>/dev/null <"$run/$1.pid" || return 0
  for ((n = 0; n < 100; n++)); do
    [ "$(start_of "$pid")" = "$start" ] || { rm -f "$run/$1.pid"; return 0; }
    ((n)) || kill -"${2:-TERM}" "$pid"
    sleep 0.1
  done
  kill -KILL "$pid"
  rm -f "$run/$1.pid"
}

# wait_for SECONDS NAME COMMAND...: until the command succeeds; gives up at once when the process NAME has ended.
wait_for() {
  local end=$((SECONDS + $1)) name=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    if ! alive "$name" || ((SECONDS > end)); then
      tail -n 20 "$logs/$name.log" >&2
      die "$name did not become ready: $*"
    fi
    sleep 0.2
  done
}

# Takes the cluster down when the process that wanted it ends, even by SIGKILL.
watch_owner() {
  [ -n "${SKIFF_CLUSTER_OWNER_PID:-}" ] && ! alive owner || return 0
  setsid bash -c 'tail --pid="$1" -f /dev/null; SKIFF_CLUSTER_STATE="$3" exec "$2/kube-down.sh" --purge' _ "$SKIFF_CLUSTER_OWNER_PID" "$here" "$state" \
    >"$logs/owner.log" 2>&1 </dev/null &
  echo "$! $(start_of $!)" >"$run/owner.pid"
}
