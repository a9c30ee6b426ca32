# systemd.bash - what `agent-actions run` tells systemd (sd_notify(3)), when it is systemd that started us.
#
# READY=1 when healthd answers and the pipelines are started, STOPPING=1 when they drain, STATUS= for
# `systemctl status`, and WATCHDOG=1 three times in the unit's WatchdogSec=, as long as our one loop turns.
# The sender is systemd-notify, a child of ours: the unit needs NotifyAccess=all.

notify() { # ASSIGNMENT...
    [[ -n ${NOTIFY_SOCKET-} ]] || return 0
    command -v systemd-notify >/dev/null || return 0
    systemd-notify "$@" || log WARNING "could not notify systemd: $*"
}

# The end takes as long as --drain-timeout allows, whatever the unit's TimeoutStopSec= is.
notify_stopping() { # SECONDS
    notify STOPPING=1 "STATUS=draining" "EXTEND_TIMEOUT_USEC=${1}000000"
}

# The role "watchdog" is a sleep, at whose end we report and sleep again. Figures are shown even where the
# unit asks for no watchdog.
start_watchdog() {
    local milliseconds=30000 delay
    [[ -n ${NOTIFY_SOCKET-} ]] || return 0
    if [[ ${WATCHDOG_USEC-} =~ ^[1-9][0-9]{3,14}$ && ${WATCHDOG_PID:-$$} == "$$" ]]; then
        milliseconds=$((WATCHDOG_USEC / 3000))
    fi
    printf -v delay '%d.%03d' $((milliseconds / 1000)) $((milliseconds % 1000))
    start_child watchdog sleep "$delay"
}

# The loop turns: that is what systemd shall know first.
report_to_systemd() {
    local figures
    notify WATCHDOG=1
    if [[ -z $draining ]]; then
        figures=$(statistics)
        [[ -z $figures ]] || notify "STATUS=$figures"
    fi
    start_watchdog
}
