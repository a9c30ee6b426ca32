# children.bash - waiting for one of several child processes.

# Waits until one of the processes has ended, or a signal has come whose trap has run. Sets ENDED, its pid
# (empty: a signal), and ENDED_STATUS.
#
# `wait -n` alone is not enough: bash 5.2 never returns a child from it that was killed and that bash has
# already told of ("line 7: 1234 Killed …"), as it does after any wait. Such a one is gone, and plain `wait`
# still knows its status. Nothing may come between the loop and `wait -n` that waits for a process.
# shellcheck disable=SC2034 # the caller reads ENDED_STATUS
wait_for_one() { # PID...
    local pid
    ENDED='' ENDED_STATUS=0
    for pid; do
        kill -0 "$pid" 2>/dev/null && continue
        ENDED=$pid
        wait "$pid" 2>/dev/null || ENDED_STATUS=$?
        return 0
    done
    wait -n -p ENDED "$@" 2>/dev/null || ENDED_STATUS=$?
    ENDED=${ENDED-}
}
