# shellcheck shell=bash
# Sourced by libexec/step, libexec/lock-checkout and libexec/check-machine: what they ask about processes.
# A minimal Fedora or Debian has no ps, so they look into /proc; where there is none (macOS), there is ps.

# parent_of PID: print the number of its parent; nothing if there is no such process.
parent_of() {
    look_up 2 ppid "$1"
}

# start_time_of PID: print when it began, in a form that is only good for telling two processes apart
# that had the same number one after the other; nothing if there is no such process.
start_time_of() {
    look_up 20 lstart "$1"
}

# look_up N NAME PID: field N of /proc/PID/stat, counted from behind the process's name, which may
# hold anything; or what ps calls NAME. A zombie (state Z) is no process any more.
look_up() {
    local answer fields state
    if [ -r /proc/self/stat ]; then
        { read -r answer <"/proc/$3/stat"; } 2>/dev/null || return 0 # it has ended meanwhile
        read -r -a fields <<<"${answer##*) }"
        state=${fields[0]} answer=${fields[$1 - 1]}
    else
        read -r state answer < <(ps -o state= -o "$2=" -p "$3") || return 0
    fi
    case $state in Z*) ;; *) echo "$answer" ;; esac
}

# oom_kills: print how many processes of our control group Linux has killed because memory ran out;
# where groups aren't counted (the outermost one), how many of the whole machine, which would blame
# what happened in another container; nothing on other systems.
oom_kills() {
    local group file
    group=$(sed -nE '/^[0-9]+:(memory)?:/ { s///p; q; }' /proc/self/cgroup 2>/dev/null || true)
    # Version 2 of control groups, then 1; in a container, its own group is often the outermost.
    for file in {"/sys/fs/cgroup$group",/sys/fs/cgroup}/memory.events \
        /sys/fs/cgroup/memory{"$group",}/memory.oom_control /proc/vmstat; do
        if [ -r "$file" ]; then
            sed -n 's/^oom_kill //p' "$file"
            return
        fi
    done
}
