# shellcheck shell=bash
# Sourced by bin/doctor and libexec/find-python: what a thing's package is called on this system, and what installs it.

# has COMMAND: is it on PATH?
has() {
    type -P -- "$1" >/dev/null
}

manager='' installer=install
sudo='sudo '
[ "$EUID" -ne 0 ] || sudo='' # root's own system is mostly a container, and has none
if has dnf; then
    manager=dnf installer="${sudo}dnf install"
elif has apt-get; then
    manager=apt installer="${sudo}apt install"
elif has brew; then
    manager=brew installer='brew install'
fi
machine=$(uname -sm 2>/dev/null) || machine=unknown # such as "Linux x86_64"

# package THING: print the name of the package that has it; nothing if none has.
package() {
    case $manager:$1 in
    apt:awk) echo mawk ;;
    *:awk) echo gawk ;;
    *:find) echo findutils ;;
    dnf:ps) echo procps-ng ;;
    *:ps) echo procps ;;
    *:sha256sum) echo coreutils ;;
    apt:Python) echo python3-venv ;; # python3 comes with it
    brew:Python) echo python ;;
    *:Python) echo python3 ;;
    # One Python 3.N, beside the system's own. Debian has none, and nobody has one this old any more.
    *:Python3.[0-9]) ;;
    dnf:Python3.*) echo "python${1#Python}" ;;
    brew:Python3.*) echo "python@${1#Python}" ;;
    dnf:conda) echo conda ;;
    brew:conda) echo micromamba ;;
    *:Python3.* | *:conda) ;;
    dnf:g++) echo gcc-c++ ;;
    apt:chromium) if grep -q '^ID=ubuntu' /etc/os-release 2>/dev/null; then echo chromium-browser chromium-chromedriver; else echo chromium chromium-driver; fi ;;
    dnf:chromium) echo chromium chromedriver ;;
    brew:chromium) echo google-chrome chromedriver ;;
    dnf:postgres) echo postgresql-server ;;
    brew:postgres) echo postgresql@18 ;;
    *:postgres) echo postgresql ;;
    dnf:broker) echo valkey ;;
    apt:broker) echo redis-server ;;
    *:broker) echo valkey ;;
    *) echo "$1" ;;
    esac
}

# python_package WRONG NEWEST: print the package of a Python that is right, at most NEWEST, where WRONG is
# what libexec/find-python has against those that are here; nothing if no package will help.
python_package() {
    local lacks='(python3[.0-9]*) (is Python [0-9.]+ and )?has no venv'
    if [[ $manager == apt && $1 =~ $lacks ]]; then
        echo "${BASH_REMATCH[1]}-venv" # Debian parts each of its Pythons in two
        return
    fi
    case $1 in
    *'is Python '*) package "Python$2" ;;
    *) package Python ;;
    esac
}

# how_to_install PACKAGE ...: print the command; nothing if there is no package.
how_to_install() {
    local name apple='' packages='' installer=$installer
    for name in "$@"; do
        case $manager:$name in # of what the kit may need, conda has only these
        :postgresql | :valkey) ! has conda || installer='conda install -c conda-forge' ;;
        esac
        case $machine:$name in
        Darwin*:make | Darwin*:git | Darwin*:g++) apple='xcode-select --install' ;;
        *) packages="$packages $name" ;;
        esac
    done
    [ -z "$packages" ] || packages=$installer$packages
    [ -z "$apple$packages" ] || echo "$apple${apple:+${packages:+ && }}$packages"
}
