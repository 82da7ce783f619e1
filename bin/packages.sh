# shellcheck shell=bash
# Sourced by bin/doctor: what a thing's package is called on this system, and what installs it.

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
    # For those whose own is out of range: another beside it, which Debian does not have.
    dnf:another-Python) echo python3.12 ;;
    brew:another-Python) echo python ;;
    dnf:conda) echo conda ;;
    brew:conda) echo micromamba ;;
    *:another-Python | *:conda) ;;
    dnf:g++) echo gcc-c++ ;;
    apt:chromium) if grep -q '^ID=ubuntu' /etc/os-release 2>/dev/null; then echo chromium-browser chromium-chromedriver; else echo chromium chromium-driver; fi ;;
    dnf:chromium) echo chromium chromedriver ;;
    brew:chromium) echo google-chrome chromedriver ;;
    *) echo "$1" ;;
    esac
}

# how_to_install PACKAGE ...: print the command; nothing if there is no package.
how_to_install() {
    local name apple='' packages=''
    for name in "$@"; do
        case $machine:$name in
        Darwin*:make | Darwin*:git | Darwin*:g++) apple='xcode-select --install' ;;
        *) packages="$packages $name" ;;
        esac
    done
    [ -z "$packages" ] || packages=$installer$packages
    [ -z "$apple$packages" ] || echo "$apple${apple:+${packages:+ && }}$packages"
}
