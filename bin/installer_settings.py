"""Print how packages can be reached, out of the user's settings of pip and uv.

Usage: PYTHON -I bin/installer_settings.py

What it prints are assignments of the variables that say the same to pip and to uv, one a line: the
index (a mirror of PyPI), further indexes, folders of packages, hosts that need no certificate,
certificates, the proxy, and the seconds to wait. uv's variables win over pip's, and these over
pip's files and then uv's. Exits 1 with one line if a setting can't be right.

Run by the Python of a new environment, which may be a 3.7.
"""

import os
import subprocess
import sys

try:
    import tomllib
except ImportError:
    try:
        from pip._vendor import tomli as tomllib
    except ImportError:
        tomllib = None

# What it is called in uv's files, in pip's settings, and in the variables to print.
SETTINGS = {
    "index-url": ("index-url", "UV_DEFAULT_INDEX", "PIP_INDEX_URL"),
    "extra-index-url": ("extra-index-url", "UV_INDEX", "PIP_EXTRA_INDEX_URL"),
    "find-links": ("find-links", "UV_FIND_LINKS", "PIP_FIND_LINKS"),
    "no-index": ("no-index", "NO_INDEX", "PIP_NO_INDEX"),  # for uv, an option alone
    "allow-insecure-host": ("trusted-host", "UV_INSECURE_HOST", "PIP_TRUSTED_HOST"),
    "cert": ("cert", "SSL_CERT_FILE", "PIP_CERT"),
    "client-cert": ("client-cert", "SSL_CLIENT_CERT", "PIP_CLIENT_CERT"),
    "proxy": ("proxy", "HTTPS_PROXY", "PIP_PROXY"),
    "timeout": ("timeout", "UV_HTTP_TIMEOUT", "PIP_TIMEOUT"),
}
LISTS = ("extra-index-url", "find-links", "allow-insecure-host")
OLDER = {"UV_DEFAULT_INDEX": "UV_INDEX_URL", "UV_INDEX": "UV_EXTRA_INDEX_URL"}


def of_uv_files():
    """Return {name: value} of uv.toml, the user's before the system's."""
    user = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    files = ["/etc/uv/uv.toml", os.path.join(user, "uv/uv.toml")]
    if os.environ.get("UV_CONFIG_FILE"):
        files = [os.environ["UV_CONFIG_FILE"]]
    found = {}
    for path in files if tomllib else []:
        if os.path.isfile(path):
            with open(path, "rb") as file:
                try:
                    table = tomllib.load(file)
                except ValueError as error:
                    sys.exit(f"make-env: {path} is no TOML: {error}")
            for index in table.get("index", []):
                if index.get("default"):
                    found["index-url"] = index["url"]
                else:
                    found.setdefault("extra-index-url", []).append(index["url"])
            found.update({**table, **table.get("pip", {})})
    return found


def of_pip():
    """Return {name: value} of pip's files and variables, as it says them itself."""
    # Your log, too, is a setting.
    command = [sys.executable, "-m", "pip", "--log", os.devnull, "config", "list"]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    answer = run.stdout.decode(errors="replace")
    if run.returncode != 0:
        if "No module named pip" in answer:  # as in what some conda clients make
            return {}
        sys.exit(f"make-env: pip can't read its settings: {' '.join(answer.split())}")
    found = {}
    for line in answer.splitlines():
        name, _, value = line.partition("=")
        part, _, name = name.rpartition(".")
        if part in ("global", "install", ":env:"):
            found[name] = value.strip("'\"")
    return found


def main():
    """Print the assignments."""
    files, pips = of_uv_files(), of_pip()
    for name, (pip_name, uv_variable, pip_variable) in SETTINGS.items():
        older = OLDER.get(uv_variable, uv_variable)
        places = [
            (uv_variable, os.environ.get(uv_variable)),
            (older, os.environ.get(older)),
            (f"{pip_name} in `pip config list`", pips.get(pip_name)),
            (f"{name} in uv.toml", files.get(name)),
        ]
        # Proxies in the environment are known to all programs, with the exceptions in no_proxy.
        places = places[2:] if name == "proxy" else places
        place, value = next((each for each in places if each[1]), ("", None))
        if isinstance(value, str):
            value = value.replace("\\n", " ")
        if isinstance(value, bool):
            value = "1" if value else None
        if isinstance(value, list):
            value = " ".join(value)
        if not value:
            continue
        value = str(value)
        if name.endswith("index-url"):
            for url in value.split():
                if not url.partition("=")[-1].startswith("//") and "://" not in url:
                    sys.exit(f"make-env: {place} is {url}, which is no address")
        if name.endswith("cert") and not os.access(value, os.R_OK):
            sys.exit(f"make-env: {place} is {value}, which can't be read")
        separator = "," if uv_variable == "UV_FIND_LINKS" else " "
        uv_value = separator.join(value.split()) if name in LISTS else value
        print(f"{uv_variable}={uv_value}")
        print(f"{pip_variable}={value}")


if __name__ == "__main__":
    main()
