# debian_root.bash - a fresh Debian 12 in a directory, with systemd as its first process: to install the package
# in and run its units for real. It shares the network with us, so our servers on loopback are its too.
#
#   root_make DIRECTORY DEB      the smallest Debian, and what the package depends on
#   root_boot DIRECTORY          sets ROOT_INIT, systemd's process id as we see it
#   root_do COMMAND...           runs a command in it
#   root_stop DIRECTORY          ends all of it
#
# As root, where mounting and namespaces are allowed.

# The first alternative of each dependency, and what the package recommends.
root_packages() { # DEB
    dpkg-deb -f "$1" Depends Recommends | sed 's/^[A-Za-z-]*://' | tr ',' '\n' |
        sed 's/|.*//; s/(.*//; s/[[:space:]]//g' | grep . | paste -sd,
}

root_make() { # DIRECTORY DEB
    mmdebstrap --quiet --variant=minbase --include="systemd-sysv,dbus,$(root_packages "$2")" bookworm "$1"
}

# In namespaces of its own, and a cgroup of its own (which becomes the root of what systemd sees).
root_boot() { # DIRECTORY
    local cgroups=$1.cgroups
    mkdir -p "$cgroups"
    mount -t cgroup2 none "$cgroups"
    ROOT_CGROUP=agent-actions-test-$$
    mkdir "$cgroups/$ROOT_CGROUP"
    # shellcheck disable=SC2016 # for the inner shell
    bash -c 'echo $$ >"$0/cgroup.procs" && umount -l "$1"
        exec unshare --fork --kill-child --pid --mount --uts --ipc --cgroup --propagation private \
            bash -euc "$2" "$3"' "$cgroups/$ROOT_CGROUP" "$cgroups" "$ROOT_BOOT" "$1" \
        </dev/null >"$1.console" 2>&1 3>&- 4>&- &
    ROOT_UNSHARE=$!
    # shellcheck disable=SC2016 # evaluated by root_wait
    root_wait '[[ -n $(pgrep -P "$ROOT_UNSHARE") ]]' || return
    ROOT_INIT=$(pgrep -P "$ROOT_UNSHARE")
    root_wait 'root_do systemctl is-system-running | grep -Eq "running|degraded"'
}

# shellcheck disable=SC2016 # for the inner shell
ROOT_BOOT='
    mount --bind "$0" "$0"
    cd "$0"
    mount -t proc proc proc
    mount -t sysfs -o ro sysfs sys
    mount -t cgroup2 none sys/fs/cgroup
    mount -t tmpfs -o mode=755 tmpfs run
    mount -t tmpfs -o mode=755 tmpfs dev
    mkdir dev/pts dev/shm
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
    mount -t tmpfs tmpfs dev/shm
    for device in null zero full random urandom tty; do
        : >"dev/$device"
        mount --bind "/dev/$device" "dev/$device"
    done
    ln -s /proc/self/fd dev/fd
    ln -s pts/ptmx dev/ptmx
    hostname agent-actions-test
    mkdir -p .outside
    pivot_root . .outside
    exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=unshare \
        sh -c "umount -l /.outside; rmdir /.outside
            mount --make-rshared / # it is for whoever makes a container; credentials come by a mount
            exec /lib/systemd/systemd --log-target=journal"'

root_wait() { # CONDITION [SECONDS]
    local deadline=$((SECONDS + ${2:-30}))
    until (eval "$1") >/dev/null 2>&1; do
        ((SECONDS < deadline)) || return 1
        sleep 0.1
    done
}

root_do() { # COMMAND...
    nsenter --target "$ROOT_INIT" --all env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
        DEBIAN_FRONTEND=noninteractive "$@" </dev/null
}

root_stop() { # DIRECTORY
    [[ -z ${ROOT_UNSHARE-} ]] || {
        kill -KILL "$ROOT_UNSHARE" 2>/dev/null || true # and all in it: --kill-child
        wait "$ROOT_UNSHARE" 2>/dev/null || true
    }
    [[ -z ${ROOT_CGROUP-} ]] || {
        mount -t cgroup2 none "$1.cgroups" && {
            root_wait "find '$1.cgroups/$ROOT_CGROUP' -depth -type d -exec rmdir {} +" 10 || true
            umount "$1.cgroups"
        }
        rmdir "$1.cgroups" || true
    }
}
