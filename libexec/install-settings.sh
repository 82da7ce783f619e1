# shellcheck shell=bash disable=SC2154
# Sourced by libexec/make-env, libexec/make-lock and bin/sandbox: what pip, uv and the conda clients may know of the
# caller, and where they put things.
#
# Needs $project, $cache and $prefix. Settings that say how to reach the packages stay (mirrors, proxies,
# certificates); take_settings takes these from pip's files, too. Settings that say where and how to install go.

for name in $(compgen -e); do
    case $name in
    PYTHON | PYTHON_MIN | PYTHON_MAX) ;;
    PIP_INDEX_URL | PIP_EXTRA_INDEX_URL | PIP_FIND_LINKS | PIP_NO_INDEX | PIP_TRUSTED_HOST) ;;
    PIP_CERT | PIP_CLIENT_CERT | PIP_PROXY | PIP_TIMEOUT | PIP_DEFAULT_TIMEOUT | PIP_RETRIES) ;;
    PIP_CONFIG_FILE | PIP_KEYRING_PROVIDER) ;;
    UV_INDEX* | UV_DEFAULT_INDEX | UV_EXTRA_INDEX_URL | UV_FIND_LINKS | UV_OFFLINE) ;;
    UV_INSECURE_HOST | UV_HTTP_* | UV_REQUEST_TIMEOUT | UV_SYSTEM_CERTS | UV_NATIVE_TLS) ;;
    UV_PYTHON_INSTALL_MIRROR | UV_PYTHON_DOWNLOADS_JSON_URL) ;;
    UV_KEYRING_PROVIDER | UV_CREDENTIALS_DIR | UV_LINK_MODE | UV_CONCURRENT_*) ;;
    PYTHON* | PIP_* | UV_* | VIRTUAL_ENV* | __PYVENV_LAUNCHER__) unset "$name" ;;
    # An active environment, and what would keep the client from creating ours.
    CONDA_PREFIX* | CONDA_DEFAULT_ENV | CONDA_SHLVL | CONDA_PROMPT_MODIFIER | _CE_CONDA | _CE_M) unset "$name" ;;
    CONDA_DRY_RUN | CONDA_JSON | MAMBA_DRY_RUN | MAMBA_JSON | MAMBA_TARGET_PREFIX) unset "$name" ;;
    esac
done

# A proxy whose port is no number, and the like, ends Airflow, pip and uv at once.
proxy='^https?://([^/?#]*@)?([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/?$'
for name in http_proxy https_proxy HTTP_PROXY HTTPS_PROXY; do
    [[ ! ${!name:-} =~ ^https?: || ${!name} =~ $proxy ]] || unset "$name"
done

# When PREFIX itself is active, its python must not be the one to make PREFIX from.
PATH=:$PATH:
PATH=${PATH//":$prefix/bin:"/:}
PATH=${PATH#:} PATH=${PATH%:}

# alike NAME ...: give all of these variables the value of the first of them that has one.
alike() {
    local name value=''
    for name in "$@"; do value=${value:-${!name:-}}; done
    [ -z "$value" ] || for name in "$@"; do export "$name=$value"; done
}

# share_settings: from now on pip and uv know the same.
share_settings() {
    alike UV_DEFAULT_INDEX UV_INDEX_URL PIP_INDEX_URL
    alike UV_INDEX UV_EXTRA_INDEX_URL PIP_EXTRA_INDEX_URL
    alike UV_FIND_LINKS PIP_FIND_LINKS
    if [ -n "${UV_FIND_LINKS:-}" ]; then # what one divides by commas, the other divides by blanks
        UV_FIND_LINKS=${UV_FIND_LINKS// /,} PIP_FIND_LINKS=${PIP_FIND_LINKS//,/ }
    fi
    alike NO_INDEX PIP_NO_INDEX # for uv, an option alone
    alike UV_INSECURE_HOST PIP_TRUSTED_HOST
    alike SSL_CERT_FILE PIP_CERT
    alike SSL_CLIENT_CERT PIP_CLIENT_CERT
    unset UV_INDEX_URL UV_EXTRA_INDEX_URL
    [ -z "${PIP_PROXY:-}" ] || export HTTPS_PROXY=$PIP_PROXY
}

# take_settings PYTHON: from now on pip and uv read no file, and know the same. Variables win over pip's files.
# PYTHON is one in a new environment, whose pip reads the files; one of conda's may have none.
take_settings() {
    local list='' name value
    if "$1" -I -c 'import pip' 2>/dev/null; then
        list=$("$1" -I -m pip --log /dev/null config list) || return # your log, too, is a setting
    fi
    # Lines such as global.index-url='https://mirror/simple'. Those of [install] come before those of [global].
    while IFS='=' read -r name value; do
        value=${value//\\n/ } # each line of several
        value=${value#?} value=${value%?} name=${name##*.}
        case $name in
        index-url | extra-index-url | find-links | no-index | trusted-host | cert | client-cert | proxy)
            name=PIP_$(tr 'a-z-' 'A-Z_' <<<"$name")
            [ -n "${!name:-}" ] || export "$name=${value# }"
            ;;
        esac
    done < <(grep -E '^(global|install)\.' <<<"$list" | sort -r)

    share_settings
    for name in PIP_CERT PIP_CLIENT_CERT; do # uv would only warn, and then trust others
        if [ -n "${!name:-}" ] && [ ! -r "${!name}" ]; then
            echo "make-env: your ${name#PIP_} of pip or uv is ${!name}, which can't be read" >&2
            return 1
        fi
    done
    export PIP_CONFIG_FILE=/dev/null UV_NO_CONFIG=1
    # As pip does: a package may come from any index. The hashes of the lock say which one it is.
    export UV_INDEX_STRATEGY=unsafe-best-match
}

# Everything stays in the checkout. (pip asks rustc for its version, and rustup makes its folder for that.)
export CONDA_PKGS_DIRS="$cache/conda/pkgs" MAMBA_ROOT_PREFIX="$cache/conda"
export CONDA_REGISTER_ENVS=false MAMBA_REGISTER_ENVS=false
export UV_CACHE_DIR="$cache/uv" UV_PYTHON_INSTALL_DIR="$cache/python" UV_PYTHON_DOWNLOADS=manual
export PIP_NO_CACHE_DIR=1 RUSTUP_HOME="$cache/rustup" XDG_CACHE_HOME="$cache/xdg"

# No questions, no advertisements.
export CONDA_ALWAYS_YES=true CONDA_REPORT_ERRORS=false CONDA_NOTIFY_OUTDATED_CONDA=false
export CONDA_NUMBER_CHANNEL_NOTICES=0 PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1

# A channel or index that swallows packets costs seconds, not minutes. Set your own to wait longer.
export CONDA_REMOTE_CONNECT_TIMEOUT_SECS=${CONDA_REMOTE_CONNECT_TIMEOUT_SECS:-6}
export CONDA_REMOTE_MAX_RETRIES=${CONDA_REMOTE_MAX_RETRIES:-1}
export MAMBA_REMOTE_CONNECT_TIMEOUT_SECS=${MAMBA_REMOTE_CONNECT_TIMEOUT_SECS:-6}
export MAMBA_REMOTE_MAX_RETRIES=${MAMBA_REMOTE_MAX_RETRIES:-1}
export PIP_RETRIES=${PIP_RETRIES:-2}

# A company's own certificates are the system's; pip and conda find them as they do for everything else.
export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-true}
