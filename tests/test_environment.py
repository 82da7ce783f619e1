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
from support.faults import SmallDisk
from support.guarantees import guarantee
from support.wheels import TOOLS_PYTHON, environment, write_wheel

MB = 1024**2
PROJECT = Path(__file__).resolve().parent.parent
STAND_IN = PROJECT / "tests" / "conda_stand_in"

# What a shell that is busy with something else may have exported.
HOSTILE = {
    **dict.fromkeys(["PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "CONDA_PREFIX"], "/nowhere"),
    **dict.fromkeys(["PIP_TARGET", "PIP_PREFIX", "UV_CONSTRAINT", "UV_CACHE_DIR"], "/nowhere"),
    **dict.fromkeys(["PIP_USER", "PIP_REQUIRE_VIRTUALENV", "UV_SYSTEM_PYTHON"], "1"),
    "CONDA_DEFAULT_ENV": "elsewhere",
    "PYTHONDONTWRITEBYTECODE": "1",
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


def new_checkout(folder, wheels):
    """Make a copy of what make-env needs in a folder, beside an empty HOME and TMPDIR."""
    checkout = folder / "a checkout & 100% é"
    for name in "bin", "libexec":
        shutil.copytree(
            PROJECT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(PROJECT / "environment.yml", checkout)
    shutil.copy(wheels / "lock.txt", checkout)
    for name in ("home", "tmp", "tools"):
        (folder / name).mkdir()
    return checkout


@pytest.fixture
def checkout(tmp_path, wheels):
    return new_checkout(tmp_path, wheels)


def can_cut_the_network():
    return (
        shutil.which("unshare")
        and subprocess.run(["unshare", "-r", "-n", "true"], check=False).returncode == 0
    )


def make_env(checkout, variables, *arguments, offline=True, inside=()):
    """Run libexec/make-env, of .sandbox/3/env and lock.txt if nothing else is said.

    inside: what goes before the command, such as SmallDisk.enter. Returns the CompletedProcess.
    """
    cut = ["unshare", "-r", "-n"] if offline and can_cut_the_network() else []
    arguments = arguments or (".sandbox/3/env", "lock.txt")
    return subprocess.run(
        [*inside, *cut, "libexec/make-env", *arguments],
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
    del variables["PIP_CONFIG_FILE"]
    run = make_env(checkout, variables)
    assert_complete(checkout, run, before)
    assert not old.exists()
    assert "no client is wanted" not in run.stderr
    assert f"venv by {sys.executable} (PYTHON={sys.executable} is given)" in run.stdout
    closing = f"make-env: Python {sys.version.split()[0]} by venv, "
    assert run.stdout.splitlines()[-1].startswith(closing)


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
    del variables["PIP_NO_INDEX"], variables["PIP_FIND_LINKS"]
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
    for tool in ("bash", "dirname", "env", "mkdir"):
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
def server(tmp_path):
    """An HTTP server of files: .url, the .folder, and the paths that were .asked for."""
    server = types.SimpleNamespace(folder=tmp_path / "served", asked=[])
    server.folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def translate_path(self, path):
            """Leave out micromamba's version, and the platform that is asked for."""
            server.asked.append(path)
            return str(server.folder / re.sub(r"-(linux|osx)-\w+", "", path.rpartition("/")[2]))

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        server.url = f"http://127.0.0.1:{listener.server_port}"
        threading.Thread(target=listener.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        listener.shutdown()


def test_a_python_that_is_too_new_installs_uv_which_fetches_another(
    checkout, wheels, too_new, server
):
    builder = [TOOLS_PYTHON, STAND_IN / "build_download.py", server.folder, server.url]
    subprocess.run(builder, check=True, timeout=120)
    downloads = {"UV_PYTHON_DOWNLOADS_JSON_URL": f"{server.url}/downloads.json"}
    run = make_env(checkout, too_new | downloads, offline=False)
    assert_complete(checkout, run)
    assert f"make-env: no Python here is right, asking uv for {HERE}\n" in run.stdout
    fetched = checkout / ".sandbox/cache/python"
    assert re.search(rf"venv by {re.escape(str(fetched))}/\S+/bin/python{HERE} ", run.stdout)

    # Where it can't be downloaded, nothing is removed, and it says what to install.
    shutil.rmtree(fetched)
    run = make_env(checkout, too_new | {"UV_PYTHON_INSTALL_MIRROR": "http://127.0.0.1:1"})
    assert run.returncode == 1
    assert (checkout / ".sandbox/3/env/bin/python").is_symlink()
    uv, find = f"make-env: uv could not fetch a Python {HERE}; its message", "find-python: "
    assert uv in run.stderr and run.stderr.count(find) == 1
    assert f"{checkout.parent}/tools/python3 is Python 3.15" in run.stderr
    assert "or see what to install: make doctor\n" in run.stderr


# --- the conda way


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    stand_in = tmp_path_factory.mktemp("client") / "stand-in"
    return script(stand_in, f'exec "{TOOLS_PYTHON}" "{STAND_IN}/client.py" "$@"\n')


@pytest.fixture(scope="module")
def made(client, wheels, tmp_path_factory):
    """An environment by the client: .checkout, the .run that made it, .before it, .variables."""
    checkout = new_checkout(tmp_path_factory.mktemp("made"), wheels)
    before = make_hostile(checkout)
    variables = environment(checkout, wheels, CONDA=str(client), **HOSTILE)
    run = make_env(checkout, variables)
    return types.SimpleNamespace(checkout=checkout, run=run, before=before, variables=variables)


def test_a_conda_client_makes_the_environment_offline_from_a_hostile_shell(client, made):
    assert_complete(made.checkout, made.run, made.before)
    assert f"conda by {client} (CONDA={client} is given)" in made.run.stdout
    assert (made.checkout / ".sandbox/3/env/conda-meta").exists()


def test_auto_fetches_micromamba_and_gives_it_the_range_of_the_edition(
    client, checkout, wheels, server
):
    """The "micromamba" that the local server serves is a script that starts the client."""
    version = '[ "$1" != --version ] || { echo 2.8.1; exit; }'
    serve(server, f'#!/bin/sh\n{version}\nexec "{client}" "$@"\n')
    variables = environment(checkout, wheels, PYTHON_MAX="3.15", MICROMAMBA_URL=server.url)
    run = make_env(checkout, variables, offline=False)
    assert_complete(checkout, run)
    cache = checkout / ".sandbox/cache"
    assert f"conda by {cache}/micromamba (no conda, mamba or micromamba is installed" in run.stdout
    assert "  - python >=3.10,<3.16\n" in (cache / "environment.yml").read_text()


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
        (2, "CONDA=/no/conda does not run", {"CONDA": "/no/conda"}),
        (2, f"CONDA={silent} does not run", {"CONDA": str(silent)}),
        (1, "there is no conda client", {"ENV_MANAGER": "conda"}),
        (2, "PYTHON=/no/python is not a command", {"PYTHON": "/no/python"}),
        (2, f"PYTHON={silent} does not run", {"PYTHON": str(silent)}),
        (2, f"PYTHON={old} is Python 3.6", {"PYTHON": str(old)}),
    ]:
        run = make_env(checkout, environment(checkout, wheels, **variables))
        assert (run.returncode, message in run.stderr) == (code, True), (variables, run.stderr)
        assert prefix.exists()


def test_a_prefix_outside_the_sandbox_folder_is_refused(checkout, wheels):
    outside = checkout.parent / "precious"
    outside.mkdir()
    variables = environment(checkout, wheels, PYTHON=sys.executable)
    for prefix in (str(outside), ".sandbox", ".sandbox/", ".sandbox/../bin", "bin"):
        run = make_env(checkout, variables, prefix, "lock.txt")
        assert run.returncode == 2, prefix
        assert "is not a folder inside" in run.stderr
    assert outside.exists() and (checkout / "bin").exists()


# --- what is installed, and from where: into an environment that is there, which is quick


def add(made, variables=None, small_disk=None, **files):
    """Write files {name: text}, and add the packages of lock.txt; on a disk with so much room."""
    folder = made.checkout / "added"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, text in files.items():
        (folder / (name.replace("_", "-") + ".txt")).write_text(text)
    arguments = ["--add", ".sandbox/3/env", "added/lock.txt"]
    disk = SmallDisk(made.checkout, room=small_disk) if small_disk else None
    inside = disk.enter if disk else ()
    run = make_env(made.checkout, variables or made.variables, *arguments, inside=inside)
    if disk:
        disk.close()
    return run


@guarantee(
    "What is downloaded",
    "packages, from PyPI or your mirror of it",
    (
        "against the SHA-256 in the edition's lock; without one, nothing is installed, uv itself "
        "included"
    ),
)
def test_neither_a_package_nor_uv_is_installed_without_its_hash(made, checkout, wheels):
    more = write_wheel(wheels, "more", "1.0", "py3-none-any", {"more.py": b""})
    for lock, message in [
        (re.sub(r"(?<=sha256:)\w+", "0" * 64, more), "Hash mismatch"),
        ("more==1.0\n", "must have a hash"),
    ]:
        run = add(made, lock=lock)
        assert run.returncode == 1
        assert message in run.stderr
        assert "make-env: uv could not install added/lock.txt" in run.stderr
    run = add(made, lock=more)
    assert (run.returncode, run.stderr) == (0, "")
    packages = next((made.checkout / ".sandbox/3/env").glob("lib/python3.*/site-packages"))
    assert (packages / "more.py").exists() and (packages / "tiny").exists()

    lock = checkout / "lock.txt"
    lock.write_text(re.sub(r"(uv==.*\n.*sha256:)\w+", r"\g<1>" + "0" * 64, lock.read_text()))
    run = make_env(checkout, environment(checkout, wheels, PYTHON=sys.executable))
    assert run.returncode == 1
    assert "DO NOT MATCH THE HASHES" in run.stderr
    assert "make-env: the venv could not be made" in run.stderr
    assert not (checkout / ".sandbox/3/env/bin/uv").exists()


def test_packages_of_your_own_go_on_top_of_the_lock_and_with_their_line(checkout, wheels, tmp_path):
    for name in "mine", "other":
        write_wheel(tmp_path, name, "1.0", "py3-none-any", {f"{name}.py": b""})
    links = {"PIP_FIND_LINKS": f"{wheels} {tmp_path}", "PYTHON": sys.executable}
    variables = environment(checkout, wheels, **links)
    packages = checkout / ".sandbox/3/env/lib"
    for wanted, code, there in [
        ("mine\n", 0, {"mine.py"}),
        ("mine\ntiny==2.0\n", 1, {"mine.py"}),
        ("other==1.0 # why\n", 0, {"other.py"}),
        ("", 0, set()),
    ]:
        (checkout / "my-requirements.txt").write_text(wanted)
        run = make_env(checkout, variables)
        assert run.returncode == code, run.stderr
        names = {path.name for path in packages.glob("*/site-packages/*.py")}
        assert names & {"mine.py", "other.py"} == there
        assert next(packages.glob("*/site-packages/tiny-1.0.dist-info")).exists()
        if code:
            (line,) = run.stderr.splitlines()
            assert line.startswith("make-env: my-requirements.txt can't be installed beside")
            assert "you require tiny==2.0" in line


@guarantee(
    "The place",
    "a mirror, a certificate or a pip.conf of yours that is wrong",
    "named",
)
def test_a_wrong_setting_of_an_installer_is_named(checkout, made, wheels):
    mirror = "http://127.0.0.1:1/simple"
    variables = {"PIP_INDEX_URL": mirror, "PIP_NO_INDEX": "", "UV_HTTP_RETRIES": "0"}
    run = add(made, made.variables | variables, lock=f"more==2.0 --hash=sha256:{'0' * 64}\n")
    assert run.returncode == 1
    assert mirror in run.stderr
    run = add(made, made.variables | {"PIP_CERT": "/gone"}, lock="more==2.0\n")
    assert run.returncode == 1
    assert run.stderr == "make-env: your CERT of pip or uv is /gone, which can't be read\n"

    file = checkout.parent / "pip.conf"
    file.write_text("[global\n")
    variables = environment(checkout, wheels, PYTHON=sys.executable, PIP_CONFIG_FILE=str(file))
    run = make_env(checkout, variables)
    assert run.returncode == 1
    assert str(file) in run.stderr
    assert "make-env: the venv could not be made; the message is above" in run.stderr


MIRROR = {"UV_DEFAULT_INDEX": "https://a/simple", "PIP_INDEX_URL": "https://a/simple"}
MORE = {"UV_INDEX": "https://b/ https://c/", "PIP_EXTRA_INDEX_URL": "https://b/ https://c/"}


def test_what_leads_one_installer_to_a_mirror_leads_the_other_one_there(tmp_path):
    file = tmp_path / "pip.conf"
    file.write_text(
        "[global]\nindex-url = https://global/\nextra-index-url =\n  https://b/\n  https://c/\n"
        "[install]\nindex-url = https://a/simple\nprefix = /x\nproxy = http://p:1\n"
        "find-links = /f /g\n[freeze]\nindex-url = https://freeze/\n"
    )

    def settings(**variables):
        """Return {variable: value} of what the installers are going to see."""
        command = "project=/p cache=/c prefix=/x; . libexec/install-settings.sh; take_settings $0"
        run = subprocess.run(
            ["bash", "-euc", f"{command}; env", sys.executable],
            cwd=PROJECT,
            env={"PATH": os.environ["PATH"], "PIP_CONFIG_FILE": str(file), **variables},
            capture_output=True,
            text=True,
        )
        assert (run.returncode, run.stderr) == (0, "")
        return dict(line.split("=", 1) for line in run.stdout.splitlines())

    links = {"UV_FIND_LINKS": "/f,/g", "PIP_FIND_LINKS": "/f /g", "HTTPS_PROXY": "http://p:1"}
    found = settings()
    assert found.items() >= (MIRROR | MORE | links).items()
    assert "PIP_PREFIX" not in found
    # What you say in a variable wins.
    found = settings(UV_INDEX_URL="https://d/", PIP_FIND_LINKS="/h")
    assert found["PIP_INDEX_URL"] == found["UV_DEFAULT_INDEX"] == "https://d/"
    assert found["UV_FIND_LINKS"] == found["PIP_FIND_LINKS"] == "/h"


@guarantee(
    "The machine",
    "the disk gets full during the installation",
    "it fails, though uv would not notice",
)
def test_a_disk_that_fills_up_during_the_installation_fails_it(made, wheels):
    """uv does not say so, and a module whose compiled form was cut short is broken for good."""
    # Compiled, which comes last, it takes 2 MB more.
    bulky = b"numbers = (" + b"1," * 400_000 + b")\n"
    lock = write_wheel(wheels, "bulky", "1.0", "py3-none-any", {"bulky.py": bulky})
    run = add(made, lock=lock, small_disk=3 * MB)
    assert run.returncode == 1, run.stdout
    assert (
        run.stderr.splitlines()[-1] == "make-env: the disk is full; make room, and type: make env"
    )
    assert "uv" not in run.stderr


@guarantee(
    "What is downloaded",
    "what packages without a wheel are built with (editions 2 and 1.10)",
    "against the SHA-256 in `build-constraints.txt`; edition 3 builds nothing",
)
def test_a_package_is_built_only_with_what_the_lock_names_and_has_its_hash(made, tmp_path):
    """The setuptools here leaves a mark when it runs, and can't build anything."""
    with tarfile.open(tmp_path / "raw-1.0.tar.gz", "w:gz") as archive:
        for name in ("setup.py", "PKG-INFO"):
            member = tarfile.TarInfo(f"raw-1.0/{name}")
            content = b"Metadata-Version: 1.0\nName: raw\nVersion: 1.0\n" * (name == "PKG-INFO")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    digest = hashlib.sha256((tmp_path / "raw-1.0.tar.gz").read_bytes()).hexdigest()
    lock = f"raw==1.0 \\\n    --hash=sha256:{digest}\n"
    mark = tmp_path / "it has run"
    backend = f"open({str(mark)!r}, 'w')".encode()
    files = {"setuptools/__init__.py": b"", "setuptools/build_meta.py": backend}
    right = write_wheel(tmp_path, "setuptools", "99.0", "py3-none-any", files)
    wrong = re.sub(r"(?<=sha256:)\w+", "0" * 64, right)
    variables = made.variables | {"PIP_FIND_LINKS": str(tmp_path)}
    run = add(made, variables, lock=lock)
    assert run.returncode == 1
    assert "raw" in run.stderr and "no usable wheels" in run.stderr
    run = add(made, variables, lock=lock, build_constraints=wrong)
    assert "Hash mismatch for `setuptools==99.0`" in run.stderr
    assert not mark.exists()
    run = add(made, variables, lock=lock, build_constraints=right)
    assert "Hash mismatch" not in run.stderr
    assert mark.exists()


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
    locks = [*PROJECT.glob("editions/*/[brs]*.txt"), PROJECT / "tests/tools.txt"]
    assert len(locks) >= 7
    for lock in locks:
        text = lock.read_text().replace("\\\n", "")  # now a package is a line
        lines = [line for line in text.splitlines() if line.strip() and "#" not in line[:5]]
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


def test_the_newest_python_in_range_is_found_when_python3_is_none(find):
    """As where it is a shim of pyenv's with nothing behind it."""
    script(find.place / "python3", "echo 'pyenv: python3: command not found' >&2\nexit 127\n")
    none = find("find-python")
    assert (none.returncode, none.stdout) == (1, "")
    assert "python3 does not run: pyenv: python3: command not found" in none.stderr
    for minor in (9, 10, 12, 14):  # a shim runs the version that this variable selects
        shim = f'[ "$PYENV_VERSION" = 3.{minor} ] || exit 127\n'
        script(find.place / f"python3.{minor}", f"{shim}echo 'a warning' >&2\necho ok $0\n")
    assert find("find-python").stdout == f"{find.place}/python3.14\n"
    assert find("find-python", PYTHON_MAX="3.13").stdout == f"{find.place}/python3.12\n"


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
    assert f"PYTHON={python} was built without ssl, ctypes, sqlite3\n" in run.stderr


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


def serve(server, binary, checksum=None):
    """Let the server have a "micromamba" and its checksum."""
    (server.folder / "micromamba").write_text(binary)
    checksum = checksum or hashlib.sha256(binary.encode()).hexdigest()
    (server.folder / "micromamba.sha256").write_text(f"{checksum}  micromamba\n")


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
    serve(server, MICROMAMBA)
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
        ((MICROMAMBA, "0" * 64), "does not have the checksum beside it"),
        ((MICROMAMBA, "not found"), "holds no checksum"),
        (("#!/bin/sh\necho 1.0.0\n",), "is not a micromamba 2.8.1 that runs here"),
        (None, "could not download"),
    ],
    ids=["wrong checksum", "no checksum", "another version", "404"],
)
def test_a_micromamba_that_cannot_be_trusted_leaves_nothing_behind(
    tmp_path, server, served, message
):
    if served:
        serve(server, *served)
    run, destination = fetch(tmp_path, server.url)
    assert run.returncode == 1
    assert message in run.stderr
    assert list(destination.parent.iterdir()) == []
