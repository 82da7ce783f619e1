"""libexec/make-env and what it calls: for real, in a copy of the checkout, with no network.

The copy's path has blanks, `&`, `%` and `é` in it, HOME is an empty folder that must stay empty,
and the lock is small: uv (its wheel rebuilt from the one installed here) and a tiny package made on
the spot; the settings of pip and uv lead to these wheels.
"""

import hashlib
import http.server
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import textwrap
import threading
import types
from pathlib import Path

import pytest
from support.checkouts import on_terminal
from support.faults import SmallDisk
from support.guarantees import guarantee
from support.wheels import CLIENTS, TOOLS_PYTHON, environment, write_wheel

MB = 1024**2
PROJECT = Path(__file__).resolve().parent.parent
STAND_IN = PROJECT / "tests" / "conda_stand_in"
SUDO = "" if os.geteuid() == 0 else "sudo "

# What a shell that is busy with something else may have exported.
HOSTILE = {
    "PYTHONPATH": "/nowhere",
    "PYTHONHOME": "/nowhere",
    "PYTHONDONTWRITEBYTECODE": "1",
    "VIRTUAL_ENV": "/nowhere",
    "CONDA_PREFIX": "/nowhere",
    "CONDA_DEFAULT_ENV": "elsewhere",
    "PIP_USER": "1",
    "PIP_TARGET": "/nowhere",
    "PIP_PREFIX": "/nowhere",
    "PIP_REQUIRE_VIRTUALENV": "1",
    "UV_SYSTEM_PYTHON": "1",
    "UV_CONSTRAINT": "/nowhere",
    "UV_CACHE_DIR": "/nowhere",
}


# Settings that one may have for other work, {path beside the checkout: content}. {outside} is a
# folder that must stay as it is.
HOSTILE_FILES = {
    "home/.config/uv/uv.toml": """
        exclude-newer = "2006-01-01"
        required-version = "==0.0.1"
        cache-dir = "{outside}"
        [pip]
        target = "{outside}"
        prefix = "{outside}"
        """,
    "home/.config/pip/pip.conf": """
        [global]
        target = {outside}
        prefix = {outside}
        dry-run = true
        constraint = {outside}/none
        log = {outside}/pip.log
        """,
    "home/.pydistutils.cfg": "[install]\nprefix = {outside}\n",
    "home/.condarc": "envs_dirs: [{outside}]\npkgs_dirs: [{outside}]\nalways_copy: true\n",
    "home/.mambarc": "envs_dirs: [{outside}]\npkgs_dirs: [{outside}]\n",
    "pyproject.toml": '[tool.uv]\nrequired-version = "==0.0.1"\n',
    "uv.toml": "this is not TOML\n",
}


def make_hostile(checkout):
    """Write HOSTILE_FILES; return all that is outside of the checkout then."""
    outside = checkout.parent / "outside"
    outside.mkdir()
    for path, content in HOSTILE_FILES.items():
        file = checkout.parent / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(content).replace("{outside}", str(outside)))
    return all_outside(checkout)


def all_outside(checkout):
    """Return {path: its content, or None for a folder} of all beside the checkout."""
    found = {}
    for path in checkout.parent.rglob("*"):
        if checkout not in (path, *path.parents):
            found[path] = path.read_bytes() if path.is_file() else None
    return found


@pytest.fixture
def checkout(tmp_path, wheels):
    """A copy of what make-env needs, beside an empty HOME and TMPDIR."""
    folder = tmp_path / "a checkout & 100% é"
    for name in "bin", "libexec":
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "environment.yml", folder)
    shutil.copy(wheels / "lock.txt", folder)
    for name in ("home", "tmp", "tools"):
        (tmp_path / name).mkdir()
    return folder


def can_cut_the_network():
    return (
        shutil.which("unshare")
        and subprocess.run(["unshare", "-r", "-n", "true"], check=False).returncode == 0
    )


def make_env(checkout, variables, *, offline=True, inside=()):
    """Run libexec/make-env .sandbox/3/env lock.txt; return the process with stdout and stderr.

    inside: what goes before the command, such as conftest.Mounts.enter.
    """
    cut = ["unshare", "-r", "-n"] if offline and can_cut_the_network() else []
    command = [*inside, *cut, "libexec/make-env", ".sandbox/3/env", "lock.txt"]
    return subprocess.run(
        command,
        cwd=checkout,
        env=variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        input="",
    )


def script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


def assert_complete(checkout, run, before=None):
    """The prefix runs, the lock is in it, byte-compiled, and nothing was written elsewhere.

    before: all_outside() of before the run; without it, HOME and TMPDIR were empty.
    """
    assert run.returncode == 0, run.stderr
    prefix = checkout / ".sandbox/3/env"
    package = next(prefix.glob("lib/python3.*/site-packages/tiny"))
    assert list(package.glob("__pycache__/__init__.*.pyc"))
    code = "import sys, tiny; print(tiny.answer, tiny.__file__, sys.prefix)"
    seen = subprocess.run(
        [prefix / "bin/python", "-I", "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert seen.strip() == f"42 {package / '__init__.py'} {prefix}"
    if before is None:
        assert list((checkout.parent / "home").iterdir()) == []
        assert list((checkout.parent / "tmp").iterdir()) == []
    else:
        assert all_outside(checkout) == before
    assert {path.name for path in (checkout / ".sandbox").iterdir()} <= {"3", "cache"}


# --- the venv way


@guarantee(
    "The machine",
    "the disk gets full during the installation",
    "it fails, though uv would not notice",
)
def test_a_disk_that_fills_up_during_the_installation_fails_it(checkout, wheels):
    """uv does not say so, and a module whose compiled form was cut short is broken for good."""
    # Compiled, which comes last, it takes 2 MB.
    bulky = b"numbers = (" + b"1," * 400_000 + b")\n"
    with (checkout / "lock.txt").open("a") as lock:
        lock.write(write_wheel(wheels, "bulky", "1.0", "py3-none-any", {"bulky.py": bulky}))
    disk = SmallDisk(checkout, room=512 * MB)
    variables = environment(checkout, wheels, PYTHON=sys.executable)
    before = disk.used()
    run = make_env(checkout, variables, inside=disk.enter)
    assert run.returncode == 0, run.stderr
    needed = disk.used() - before
    shutil.rmtree(disk.inner / ".sandbox")

    disk.fill(needed - MB)
    run = make_env(checkout, variables, inside=disk.enter)
    assert run.returncode == 1, run.stdout
    assert "the disk is full; make room, and type: make env" in run.stderr.splitlines()[-1]
    disk.free()
    run = make_env(checkout, variables, inside=disk.enter)
    assert run.returncode == 0, run.stderr
    python = [*disk.enter, ".sandbox/3/env/bin/python", "-I", "-c"]
    subprocess.run([*python, "import bulky; assert len(bulky.numbers) == 400_000"], check=True)
    disk.close()


@guarantee(
    "The place",
    "settings of pip, uv and conda that say where or how to install",
    "not used; nothing is written outside",
)
def test_a_given_python_makes_a_venv_offline_from_a_hostile_shell(checkout, wheels):
    """Also when there is a client, which could not use that Python."""
    old = checkout / ".sandbox/3/env/left over"
    old.mkdir(parents=True)
    script(checkout.parent / "tools/conda", "echo 'no client is wanted' >&2\n")
    script(checkout.parent / "tools/rustc", 'mkdir -p "${RUSTUP_HOME:-$HOME/.rustup}"\n')
    before = make_hostile(checkout)
    variables = environment(checkout, wheels, PYTHON=sys.executable, **HOSTILE)
    variables["UV_FIND_LINKS"] = str(wheels)
    del variables["UV_CONFIG_FILE"], variables["PIP_CONFIG_FILE"]
    run = make_env(checkout, variables)
    assert_complete(checkout, run, before)
    assert not old.exists()
    assert "no client is wanted" not in run.stderr
    assert f"venv by {sys.executable} (PYTHON={sys.executable} is given)" in run.stdout
    closing = f"make-env: Python {sys.version.split()[0]} by venv, "
    assert run.stdout.splitlines()[-1].startswith(closing)


def test_on_a_terminal_it_shows_progress_and_no_list_of_packages(checkout, wheels):
    variables = environment(checkout, wheels, PYTHON=sys.executable)
    command = ["env", "-i", *(f"{name}={value}" for name, value in variables.items())]
    code, sent = on_terminal([*command, "libexec/make-env", ".sandbox/3/env", "lock.txt"], checkout)
    assert code == 0, sent
    assert re.search(r" \d+ MB, \d+ s\r", sent)
    # A counter ends in \r, and has as many as the seconds that it takes.
    assert sent.count("\n") < 6, sent
    assert sent.splitlines()[-1].startswith("make-env: Python")
    assert "Terminated" not in sent


def test_auto_takes_a_venv_when_the_client_fails(checkout, wheels):
    """The client on PATH dies for want of a channel; only pip.conf knows where the wheels are."""
    tools = checkout.parent / "tools"
    half_done = 'echo "no channel" >&2\nmkdir -p "$5/conda-meta"\nexit 1\n'
    script(tools / "mamba", '[ "$1" != --version ] || exit 0\n' + half_done)
    (tools / "python3").symlink_to(sys.executable)
    pip_conf = checkout.parent / "pip.conf"
    mirror = (wheels / "simple").as_uri()
    pip_conf.write_text(f"[global]\nindex-url = {mirror}\n[install]\nuser = true\n")
    variables = environment(checkout, wheels, PIP_CONFIG_FILE=str(pip_conf))
    for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS", "UV_CONFIG_FILE"):
        del variables[name]
    run = make_env(checkout, variables)
    assert_complete(checkout, run)
    assert "no channel" in run.stderr
    assert f"venv by {tools}/python3 ({tools}/mamba failed, see above)" in run.stdout
    assert not (checkout / ".sandbox/3/env/conda-meta").exists()


def test_an_environment_is_not_remade_from_its_own_python(checkout, wheels):
    """PREFIX is first on PATH, as after activating it, and there is no other Python."""
    prefix, tools = checkout / ".sandbox/3/env", checkout.parent / "tools"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin/python3").symlink_to(sys.executable)
    for tool in ("bash", "dirname", "env"):
        (tools / tool).symlink_to(shutil.which(tool))
    variables = environment(checkout, wheels, ENV_MANAGER="venv", PATH=f"{prefix}/bin:{tools}")
    run = make_env(checkout, variables, offline=False)
    assert run.returncode == 1
    assert "find-python: no usable Python on PATH" in run.stderr
    assert (prefix / "bin/python3").exists()


# --- the venv way, where every Python is out of range: uv fetches one


# A Python that runs this, but tells libexec/find-python that it is 3.15.
TOO_NEW = """\
case $1 in
-I) shift 2; probe=$1; shift; exec "{python}" -I -c "import sys; sys.version_info = 3, 15
$probe" "$@" ;;
*) exec "{python}" "$@" ;;
esac
"""
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def too_new(checkout, wheels):
    """The settings where the only Python is a python3 that is newer than the edition's range."""
    tools = checkout.parent / "tools"
    script(tools / "python3", TOO_NEW.format(python=sys.executable))
    for minor in range(8, sys.version_info.minor + 1):  # those of this machine don't count
        script(tools / f"python3.{minor}", "exit 127\n")
    # The lock that the uv to fetch a Python with comes from.
    (checkout / "editions/3").mkdir(parents=True)
    shutil.copy(wheels / "lock.txt", checkout / "editions/3/requirements.txt")
    return environment(checkout, wheels, PYTHON_MAX=HERE, UV_HTTP_RETRIES="0")


@pytest.fixture
def pythons(tmp_path):
    """The list from which uv downloads the Python that runs this, by a server of the test's."""
    folder = tmp_path / "pythons"
    folder.mkdir()

    class Folder(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=folder)

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Folder) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        builder = [TOOLS_PYTHON, STAND_IN / "build_download.py", folder, url]
        subprocess.run(builder, check=True, timeout=120)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"{url}/downloads.json"
        server.shutdown()


def test_a_python_that_is_too_new_installs_uv_which_fetches_another(
    checkout, wheels, too_new, pythons
):
    run = make_env(checkout, too_new | {"UV_PYTHON_DOWNLOADS_JSON_URL": pythons}, offline=False)
    assert_complete(checkout, run)
    assert f"make-env: no Python here is right, asking uv for {HERE}\n" in run.stdout
    fetched = checkout / ".sandbox/cache/python"
    assert re.search(rf"venv by {re.escape(str(fetched))}/\S+/bin/python{HERE} ", run.stdout)
    base = [checkout / ".sandbox/3/env/bin/python", "-c", "import sys; print(sys.base_prefix)"]
    assert subprocess.check_output(base, text=True).startswith(str(fetched))


def test_where_uv_can_fetch_no_python_it_says_what_to_install(checkout, too_new):
    old = checkout / ".sandbox/3/env/left over"
    old.mkdir(parents=True)
    script(checkout.parent / "tools/dnf", "exit 1\n")
    nowhere = {"UV_PYTHON_INSTALL_MIRROR": "http://127.0.0.1:1"}
    run = make_env(checkout, too_new | nowhere)
    assert run.returncode == 1
    assert old.exists()
    told = run.stderr.split(f"make-env: uv could not fetch a Python {HERE}; its message is above\n")
    assert len(told) == 2, run.stderr
    first, _, second = told[1].splitlines()[:3]
    assert re.match(
        rf"find-python: no usable Python .*; {checkout.parent}/tools/python3 is ", first
    )
    assert "python3 is Python 3.15" in first
    assert second.endswith(f"  from this system: {SUDO}dnf install python{HERE}")
    assert "apt" not in told[1] and "brew" not in told[1]
    assert run.stderr.count("find-python: ") == 1


# --- the conda way


@pytest.fixture(scope="module")
def channel(tmp_path_factory, wheels):
    """A condarc that leads the name conda-forge to a local channel (conda_stand_in/README.md)."""
    folder = tmp_path_factory.mktemp("channels")
    builder = [
        TOOLS_PYTHON,
        STAND_IN / "build_channel.py",
        folder / "conda-forge",
        next(wheels.glob("uv-*.whl")),
    ]
    subprocess.run(builder, check=True, timeout=120)
    condarc = folder / "condarc"
    condarc.write_text(f"channel_alias: {folder.as_uri()}\ndefault_channels: []\n")
    return condarc


@pytest.fixture
def client(checkout):
    """A real client where there is one, else the stand-in."""
    real = next(filter(None, map(shutil.which, CLIENTS)), None)
    if real:
        return Path(real)
    return script(
        checkout.parent / "stand-in", f'exec "{TOOLS_PYTHON}" "{STAND_IN}/client.py" "$@"\n'
    )


def test_a_conda_client_makes_the_environment_offline_from_a_hostile_shell(
    channel, client, checkout, wheels
):
    before = make_hostile(checkout)
    here = {"CONDA": str(client), "CONDARC": str(channel)}
    run = make_env(checkout, environment(checkout, wheels, **here, **HOSTILE))
    assert_complete(checkout, run, before)
    prefix = checkout / ".sandbox/3/env"
    assert f"conda by {client} (CONDA={client} is given)" in run.stdout
    assert (prefix / "conda-meta/history").exists()
    where = subprocess.run(
        [prefix / "bin/where-is-the-prefix"], capture_output=True, text=True, check=True
    ).stdout
    assert where.strip() == str(prefix)


def test_auto_fetches_micromamba_and_gives_it_the_range_of_the_edition(
    channel, client, checkout, wheels, server
):
    """The "micromamba" that the local server serves is a script that starts the client."""
    version = '[ "$1" != --version ] || { echo 2.8.1; exit; }'
    server.serve(f'#!/bin/sh\n{version}\nexec "{client}" "$@"\n')
    urls = {"CONDARC": str(channel), "MICROMAMBA_URL": server.url}
    run = make_env(
        checkout, environment(checkout, wheels, PYTHON_MAX="3.15", **urls), offline=False
    )
    assert_complete(checkout, run)
    cache = checkout / ".sandbox/cache"
    assert f"conda by {cache}/micromamba (no conda, mamba or micromamba is installed" in run.stdout
    assert "  - python >=3.10,<3.16\n" in (cache / "environment.yml").read_text()

    # No Python is in this range: the channel has none, and neither has the venv.
    none = environment(checkout, wheels, PYTHON_MIN="3.1", PYTHON_MAX="3.2", **urls)
    run = make_env(checkout, none, offline=False)
    assert run.returncode == 1
    assert "python >=3.1,<3.3" in run.stderr
    assert "find-python: no usable Python on PATH (looked for python3 python3.2" in run.stderr


def test_a_given_client_that_fails_is_an_error_and_no_venv(checkout, wheels):
    dying = script(checkout.parent / "dying", '[ "$1" = --version ]\n')
    for variables in ({"CONDA": str(dying)}, {"CONDA": str(dying), "ENV_MANAGER": "conda"}):
        run = make_env(checkout, environment(checkout, wheels, **variables))
        assert run.returncode == 1
        assert f"make-env: {dying} could not create" in run.stderr
        assert "make env ENV_MANAGER=venv" in run.stderr
        assert not (checkout / ".sandbox/3/env").exists()


def test_what_cannot_start_is_refused_before_anything_is_removed(checkout, wheels):
    prefix = checkout / ".sandbox/3/env"
    prefix.mkdir(parents=True)
    silent = script(checkout.parent / "silent", "exit 127\n")
    old = script(checkout.parent / "old", "echo is Python 3.6\n")
    for code, message, variables in [
        (2, "ENV_MANAGER=pip is unknown", {"ENV_MANAGER": "pip"}),
        (2, "CONDA=/no/conda is not a command", {"CONDA": "/no/conda"}),
        (1, f"CONDA={silent} does not run", {"CONDA": str(silent)}),
        (1, "there is no conda client", {"ENV_MANAGER": "conda"}),
        (2, "PYTHON=/no/python is not a command", {"PYTHON": "/no/python"}),
        (2, f"PYTHON={silent} does not run", {"PYTHON": str(silent)}),
        (2, f"PYTHON={old} is Python 3.6", {"PYTHON": str(old)}),
        (
            2,
            f"PYTHON={sys.executable} is Python 3.",
            {"PYTHON": sys.executable, "PYTHON_MIN": "3.90"},
        ),
    ]:
        run = make_env(checkout, environment(checkout, wheels, **variables))
        assert (run.returncode, message in run.stderr) == (code, True), (variables, run.stderr)
        assert prefix.exists()


def test_a_prefix_outside_the_sandbox_folder_is_refused(checkout, wheels):
    outside = checkout.parent / "precious"
    outside.mkdir()
    for prefix in (str(outside), ".sandbox", ".sandbox/", ".sandbox/../bin", "bin"):
        run = subprocess.run(
            ["libexec/make-env", prefix, "lock.txt"],
            cwd=checkout,
            env=environment(checkout, wheels, ENV_MANAGER="venv", PYTHON=sys.executable),
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 2, prefix
        assert "is not a folder inside" in run.stderr
    assert outside.exists() and (checkout / "bin").exists()


@guarantee(
    "What is downloaded",
    "packages, from PyPI or your mirror of it",
    (
        "against the SHA-256 in the edition's lock; without one, nothing is installed, uv itself "
        "included"
    ),
)
@pytest.mark.parametrize(
    ("line", "message"),
    [("tiny==1.0 --hash=sha256:" + "0" * 64, "Hash mismatch"), ("tiny==1.0", "must have a hash")],
    ids=["another hash", "no hash"],
)
def test_a_package_is_not_installed_without_its_hash(
    channel, client, checkout, wheels, line, message
):
    lock = checkout / "lock.txt"
    lock.write_text(lock.read_text().split("tiny==")[0] + line + "\n")
    variables = environment(checkout, wheels, CONDA=str(client), CONDARC=str(channel))
    run = make_env(checkout, variables)
    assert run.returncode == 1
    assert message in run.stderr
    assert "make-env: uv could not install lock.txt" in run.stderr


@guarantee(
    "What is downloaded",
    "packages, from PyPI or your mirror of it",
    (
        "against the SHA-256 in the edition's lock; without one, nothing is installed, uv itself "
        "included"
    ),
)
def test_uv_itself_is_not_installed_without_its_hash(checkout, wheels):
    lock = checkout / "lock.txt"
    lock.write_text(re.sub(r"(uv==.*\n.*sha256:)\w+", r"\g<1>" + "0" * 64, lock.read_text()))
    run = make_env(checkout, environment(checkout, wheels, PYTHON=sys.executable))
    assert run.returncode == 1
    assert "DO NOT MATCH THE HASHES" in run.stderr
    assert "make-env: the venv could not be made" in run.stderr
    assert not (checkout / ".sandbox/3/env/bin/uv").exists()


@guarantee(
    "The place",
    "a mirror, certificate or proxy of yours that is wrong",
    "named",
)
@pytest.mark.parametrize(
    ("setting", "content", "said"),
    [
        ("UV_CONFIG_FILE", "no TOML\n", "uv.toml is not TOML: "),
        ("UV_CONFIG_FILE", 'index-url = "mirror"\n', "index-url in uv.toml is mirror, which is no"),
        (
            "PIP_CONFIG_FILE",
            "[global]\nindex-url = mirror\n",
            "index-url in `pip config list` is mirror, ",
        ),
        ("PIP_CONFIG_FILE", "[global\n", "pip can't read its settings: Configuration file could"),
        ("PIP_CONFIG_FILE", "[global]\ntimeout = soon\n", "option timeout: invalid floating-point"),
        (
            "PIP_CONFIG_FILE",
            "[global]\ncert = /gone\n",
            "cert in `pip config list` is /gone, which",
        ),
    ],
)
def test_a_wrong_setting_of_an_installer_is_named(checkout, setting, content, said):
    file = checkout.parent / "uv.toml"
    file.write_text(content)
    command = [sys.executable, "-I", checkout / "libexec/installer-settings"]
    variables = {"PATH": os.environ["PATH"], setting: str(file)}
    run = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert said in run.stderr
    assert len(run.stderr.splitlines()) == 1, run.stderr


def test_a_wrong_setting_of_an_installer_ends_the_installation(checkout, wheels):
    settings = {"PYTHON": sys.executable, "PIP_CERT": "/gone"}
    run = make_env(checkout, environment(checkout, wheels, **settings))
    assert run.returncode == 1
    assert "make-env: cert in `pip config list` is /gone, which can't be read" in run.stderr
    assert not (checkout / ".sandbox/3/env/bin/uv").exists()


@guarantee(
    "The place",
    "a mirror, certificate or proxy of yours that is wrong",
    "named",
)
def test_a_proxy_that_pip_cannot_speak_to_is_named(checkout, wheels):
    variables = environment(
        checkout, wheels, PYTHON=sys.executable, all_proxy="socks5://127.0.0.1:1"
    )
    del variables["PIP_NO_INDEX"], variables["PIP_FIND_LINKS"], variables["UV_CONFIG_FILE"]
    run = make_env(checkout, {**variables, "PIP_INDEX_URL": "http://192.0.2.1/simple"})
    assert run.returncode == 1
    assert "pip can't speak to the proxy all_proxy=socks5://127.0.0.1:1; unset it" in run.stderr


@guarantee(
    "The place",
    "an installer that says it is done, and is not",
    "noticed",
)
def test_an_installer_that_says_it_is_done_is_not_believed(checkout, wheels):
    """As when a setting sent the packages elsewhere: exit code 0, and nothing is there."""
    folder = checkout.parent / "more"
    folder.mkdir()
    idle = b"#!/bin/sh\n"
    scripts = {"uv-99.0.data/scripts/uv": idle}
    (checkout / "lock.txt").write_text(write_wheel(folder, "uv", "99.0", "py3-none-any", scripts))
    variables = environment(checkout, wheels, PYTHON=sys.executable, PIP_FIND_LINKS=str(folder))
    run = make_env(checkout, variables)
    assert run.returncode == 1
    assert "after the installation the packages of lock.txt are not in" in run.stderr


@pytest.fixture
def built(channel, client, checkout, wheels):
    """The settings to install a package that has to be built, by a setuptools that leaves a mark.

    .setuptools is that one's line in a lock, .mark the file that is there once it has run.
    """
    folder = checkout.parent / "more"
    folder.mkdir()
    with tarfile.open(folder / "raw-1.0.tar.gz", "w:gz") as archive:
        for name in ("setup.py", "PKG-INFO"):
            member = tarfile.TarInfo(f"raw-1.0/{name}")
            content = b"Metadata-Version: 1.0\nName: raw\nVersion: 1.0\n" * (name == "PKG-INFO")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    digest = hashlib.sha256((folder / "raw-1.0.tar.gz").read_bytes()).hexdigest()
    with (checkout / "lock.txt").open("a") as lock:
        lock.write(f"raw==1.0 \\\n    --hash=sha256:{digest}\n")
    mark = checkout.parent / "it has run"
    backend = f"open({str(mark)!r}, 'w')".encode()
    files = {"setuptools/__init__.py": b"", "setuptools/build_meta.py": backend}
    settings = folder / "uv.toml"
    settings.write_text(f'no-index = true\nfind-links = ["{wheels}", "{folder}"]\n')
    sources = {"CONDARC": str(channel), "UV_CONFIG_FILE": str(settings)}
    variables = environment(checkout, wheels, CONDA=str(client), **sources)
    line = write_wheel(folder, "setuptools", "99.0", "py3-none-any", files)
    return types.SimpleNamespace(variables=variables, setuptools=line, mark=mark)


@guarantee(
    "What is downloaded",
    "what packages without a wheel are built with (editions 2 and 1.10)",
    "against the SHA-256 in `build-constraints.txt`; edition 3 builds nothing",
)
def test_nothing_is_built_where_the_lock_does_not_say_what_with(checkout, built):
    run = make_env(checkout, built.variables)
    assert run.returncode == 1
    assert "raw" in run.stderr and "no usable wheels" in run.stderr
    assert "make-env: uv could not install lock.txt" in run.stderr
    assert not built.mark.exists()


@guarantee(
    "What is downloaded",
    "what packages without a wheel are built with (editions 2 and 1.10)",
    "against the SHA-256 in `build-constraints.txt`; edition 3 builds nothing",
)
@pytest.mark.parametrize("right", [False, True], ids=["another hash", "its hash"])
def test_a_package_is_built_only_with_what_has_its_hash(checkout, built, right):
    digest = r"\g<0>" if right else "0" * 64
    constraints = re.sub(r"(?<=sha256:)\w+", digest, built.setuptools)
    (checkout / "build-constraints.txt").write_text(constraints)
    run = make_env(checkout, built.variables)
    assert run.returncode == 1  # that setuptools can't build anything
    assert ("Hash mismatch for `setuptools==99.0`" in run.stderr) != right
    assert built.mark.exists() == right


LOCKED = re.compile(r"[\w.-]+==[\w.+!-]+( ; [^;]+?)?( +--hash=sha256:\w{64})+")


@guarantee(
    "What is downloaded",
    "packages, from PyPI or your mirror of it",
    (
        "against the SHA-256 in the edition's lock; without one, nothing is installed, uv itself "
        "included"
    ),
)
def test_every_package_of_every_lock_has_an_exact_version_and_a_hash():
    locks = [*PROJECT.glob("editions/*/requirements.txt"), PROJECT / "tests/tools.txt"]
    builds = [*PROJECT.glob("editions/*/build-constraints.txt")]
    assert len(locks) >= 4 and len(builds) >= 2
    for lock in locks + builds:
        text = lock.read_text().replace("\\\n", "")  # now a package is a line
        lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
        assert lines and [line for line in lines if not LOCKED.fullmatch(line)] == [], lock


# --- libexec/find-python and libexec/find-conda


@pytest.fixture
def find(tmp_path):
    """Run libexec/NAME with a PATH of its own: tmp_path/bin, and next to nothing else."""
    place = tmp_path / "bin"
    place.mkdir()
    for tool in ("bash", "env", "sed"):
        (place / tool).symlink_to(shutil.which(tool))

    def run(name, *arguments, **variables):
        command = [PROJECT / "libexec" / name, *arguments]
        variables = {"PATH": str(place), **variables}
        return subprocess.run(
            command, env=variables, capture_output=True, text=True, timeout=60, check=False
        )

    run.place = place
    return run


def python_that_says(path, answer):
    """A Python that answers find-python's question without looking; "ok" goes with its path."""
    return script(path, f"echo '{answer}'{' $0' if answer == 'ok' else ''}\n")


def test_a_python_shim_with_nothing_behind_it_is_skipped(find):
    script(find.place / "python3", "echo 'pyenv: python3: command not found' >&2\nexit 127\n")
    script(find.place / "python3.14", "echo 'pyenv: python3.14: command not found' >&2\nexit 127\n")
    none = find("find-python")
    assert (none.returncode, none.stdout) == (1, "")
    assert "python3 does not run: pyenv: python3: command not found" in none.stderr
    python_that_says(find.place / "python3.11", "ok")
    assert find("find-python").stdout == f"{find.place}/python3.11\n"


def test_a_pyenv_shim_is_asked_for_the_version_it_is_named_after(find):
    behind = "/home/u/.pyenv/versions/3.12.1/bin/python3.12"
    shim = f'[ "$PYENV_VERSION" = 3.12 ] || exit 127\necho "ok {behind}"\n'
    script(find.place / "python3.12", shim)
    assert find("find-python").stdout == f"{behind}\n"


def test_the_newest_python_in_range_is_found_when_python3_is_out_of_range(find):
    python_that_says(find.place / "python3", "is Python 3.9")
    for minor in (9, 10, 12, 14):
        python_that_says(find.place / f"python3.{minor}", "ok")
    assert find("find-python").stdout == f"{find.place}/python3.14\n"
    assert find("find-python", PYTHON_MAX="3.13").stdout == f"{find.place}/python3.12\n"


@pytest.mark.parametrize(
    ("installer", "newest", "command"),
    [
        ("dnf", "3.14", f"{SUDO}dnf install python3.14"),
        ("dnf", "3.12", f"{SUDO}dnf install python3.12"),
        ("dnf", "3.7", None),
        ("brew", "3.14", "brew install python@3.14"),
        ("apt-get", "3.14", None),
    ],
)
def test_where_python3_is_out_of_range_it_names_what_this_system_has(
    find, installer, newest, command
):
    python_that_says(find.place / "python3", "is Python 3.15")
    script(find.place / installer, "exit 1\n")
    run = find("find-python", PYTHON_MIN="3.7", PYTHON_MAX=newest)
    assert run.returncode == 1
    assert re.findall(r"from this system: (.*)", run.stderr) == ([command] if command else [])
    assert "micromamba" in run.stderr and f"uv python install {newest}" in run.stderr


def test_any_python_but_one_that_is_too_old_can_install_uv(find):
    (find.place / "python3.99").symlink_to(sys.executable)
    script(find.place / "python3.99-config", "exit 1\n")
    assert find("find-python", PYTHON_MAX="3.9", PYTHON_MIN="3.9").returncode == 1
    uvs = find("find-python", "--for-uv", PYTHON="/no/python", PYTHON_MAX="3.9")
    assert (uvs.returncode, uvs.stdout) == (0, f"{find.place}/python3.99\n")
    (find.place / "python3.99").unlink()
    text = "shift 2\nprobe=$1\nshift\n"
    old = "import sys; sys.version_info = 3, 7"
    script(find.place / "python3", f'{text}exec "{sys.executable}" -I -c "{old}\n$probe" "$@"\n')
    none = find("find-python", "--for-uv")
    assert (none.returncode, none.stdout) == (1, "")
    assert none.stderr.endswith(f"{find.place}/python3 is Python 3.7.\n")


def test_a_warning_before_the_answer_does_not_disqualify_a_python(find):
    script(find.place / "python3", "echo 'a warning' >&2\necho ok $0\n")
    assert find("find-python").stdout == f"{find.place}/python3\n"


def test_for_a_python_without_ensurepip_the_package_is_named(find):
    hide = "import sys; sys.modules['ensurepip'] = None"
    text = f'shift 2\nprobe=$1\nshift\nexec "{sys.executable}" -I -c "{hide}\n$probe" "$@"\n'
    script(find.place / "python3", text)
    script(find.place / "apt-get", "exit 1\n")
    run = find("find-python")
    assert run.returncode == 1
    assert "python3 has no venv or ensurepip" in run.stderr
    assert f"from this system: {SUDO}apt install python3-venv\n" in run.stderr
    # uv fetches one that is in range, once this one can have a venv to install uv in.
    run = find("find-python", PYTHON_MIN="3.90", PYTHON_MAX="3.91")
    assert re.search(r"python3 is Python 3.\d+ and has no venv or ensurepip", run.stderr)
    assert f"{SUDO}apt install python3-venv\n" in run.stderr
    assert find("find-python", "--for-uv").returncode == 1
    # Debian parts each of its Pythons in two.
    python_that_says(find.place / "python3", "is Python 3.15")
    script(find.place / "python3.13", text)
    assert f"{SUDO}apt install python3.13-venv\n" in find("find-python").stderr
    (find.place / "python3").unlink()
    (find.place / "python3").symlink_to(sys.executable)
    assert find("find-python").stdout == f"{find.place}/python3\n"


@guarantee(
    "The place",
    "a Python that lacks ssl, sqlite3, ctypes, bz2 or zlib",
    "refused",
)
def test_a_python_that_lacks_a_module_is_refused_and_the_module_named(find, tmp_path):
    """As pyenv builds one where the headers of these libraries are missing."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "python"], check=True)
    [packages] = tmp_path.glob("python/lib/python3.*/site-packages")
    lacks = "import sys; sys.modules.update(_ssl=None, _sqlite3=None, _ctypes=None)\n"
    (packages / "lacks.pth").write_text(lacks)
    python = tmp_path / "python/bin/python"
    run = find("find-python", PYTHON=str(python))
    assert run.returncode == 2
    assert f"PYTHON={python} was built without ssl, ctypes, sqlite3." in run.stderr
    script(find.place / "python3", f'exec "{python}" "$@"\n')
    # uv needs less of the Python that it is installed by.
    (packages / "lacks.pth").write_text(lacks.replace("_ssl=None, ", ""))
    assert find("find-python").returncode == 1
    assert find("find-python", "--for-uv").returncode == 0


def test_clients_are_found_in_order_and_one_that_does_not_run_is_skipped(find, tmp_path):
    elsewhere = script(tmp_path / "miniconda/bin/conda", "exit 0\n")
    assert find("find-conda").returncode == 1
    assert find("find-conda", CONDA_EXE=str(elsewhere)).stdout == f"{elsewhere}\n"
    # GitHub's runners export CONDA as a folder.
    assert find("find-conda", CONDA=str(tmp_path / "miniconda")).stdout == f"{elsewhere}\n"
    for name in ("conda", "mamba"):
        script(find.place / name, "exit 0\n")
    assert find("find-conda", CONDA_EXE=str(elsewhere)).stdout == f"{find.place}/mamba\n"
    script(find.place / "mamba", "exit 127\n")
    assert find("find-conda").stdout == f"{find.place}/conda\n"
    assert find("find-conda", CONDA=str(elsewhere)).stdout == f"{elsewhere}\n"


# --- libexec/fetch-micromamba

MICROMAMBA = "#!/bin/sh\necho 2.8.1\n"


class Server(http.server.ThreadingHTTPServer):
    """Serves one "micromamba" and its checksum, under whatever name is asked for."""

    def serve(self, binary, checksum=None, length=None):
        self.binary = binary.encode()
        self.checksum = checksum or hashlib.sha256(self.binary).hexdigest()
        self.length = length or len(self.binary)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        if not self.server.binary:
            self.send_error(404)
            return
        is_sum = self.path.endswith(".sha256")
        body = f"{self.server.checksum}  micromamba\n".encode() if is_sum else self.server.binary
        self.send_response(200)
        self.send_header("Content-Length", str(len(body) if is_sum else self.server.length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    with Server(("127.0.0.1", 0), Handler) as server:
        server.asked = []
        server.binary = b""
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def fetch(tmp_path, url):
    destination = tmp_path / "a cache" / "micromamba"
    variables = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "MICROMAMBA_URL": url}
    run = subprocess.run(
        [PROJECT / "libexec/fetch-micromamba", destination],
        env=variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return run, destination


def test_micromamba_is_fetched_checked_and_then_reused(tmp_path, server):
    server.serve(MICROMAMBA)
    run, destination = fetch(tmp_path, server.url)
    assert run.returncode == 0, run.stderr
    assert destination.read_text() == MICROMAMBA and os.access(destination, os.X_OK)
    assert len(server.asked) == 2
    assert fetch(tmp_path, server.url)[0].returncode == 0
    assert len(server.asked) == 2
    # Another version, or one that no longer runs, is downloaded again.
    script(destination, "echo 1.0.0\n")
    assert fetch(tmp_path, server.url)[0].returncode == 0
    assert destination.read_text() == MICROMAMBA


@guarantee(
    "What is downloaded",
    "micromamba, where there is no conda, from GitHub",
    "against the SHA-256 that is published beside it, before it is run",
)
@pytest.mark.parametrize(
    ("served", "message"),
    [
        ({"binary": MICROMAMBA, "checksum": "0" * 64}, "does not have the checksum beside it"),
        ({"binary": MICROMAMBA, "checksum": "not found"}, "holds no checksum"),
        ({"binary": MICROMAMBA, "length": 1000}, "could not download"),
        ({"binary": "#!/bin/sh\necho 1.0.0\n"}, "is not a micromamba 2.8.1 that runs here"),
        ({"binary": ""}, "could not download"),
        (None, "could not download"),
    ],
    ids=["wrong checksum", "no checksum", "truncated", "another version", "404", "refused"],
)
def test_a_micromamba_that_cannot_be_trusted_leaves_nothing_behind(
    tmp_path, server, served, message
):
    if served:
        server.serve(**served)
    run, destination = fetch(tmp_path, server.url if served else "http://127.0.0.1:1")
    assert run.returncode == 1
    assert message in run.stderr
    assert list(destination.parent.iterdir()) == []


def test_auto_says_why_when_it_takes_a_venv_for_want_of_micromamba(checkout, wheels):
    """Nothing is installed, so it says so and stops where Python would have been found."""
    variables = environment(checkout, wheels, PYTHON_MIN="3.1", PYTHON_MAX="3.2")
    run = make_env(checkout, variables)
    assert run.returncode == 1
    assert "fetch-micromamba: could not download http://127.0.0.1:1" in run.stderr
    assert "find-python: no usable Python on PATH" in run.stderr
