"""bin/doctor: what is missing is named, with the command that installs it here.

It runs in a copy of the checkout that has no environment, with a PATH of its own: one folder with
links to the tools that the machine has, and stand-ins for what only has to be there.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.guarantees import guarantee

PROJECT = Path(__file__).resolve().parent.parent
TOOLS = ["awk", "bash", "curl", "find", "git", "grep", "make", "sed", "sha256sum"]
BESIDE_BASH = [
    "cat",
    "date",
    "df",
    "dirname",
    "env",
    "ln",
]  # no system has the one without the others
INSTALLERS = {"dnf": "dnf", "apt": "apt-get", "brew": "brew"}
SUDO = "" if os.geteuid() == 0 else "sudo "


class Machine:
    """A checkout, and a folder of tools that is its whole PATH."""

    def __init__(self, folder):
        self.checkout = folder / "a checkout & 100% é"
        self.tools = folder / "tools"
        self.tools.mkdir()
        for name in "bin", "libexec", "editions":
            shutil.copytree(
                PROJECT / name, self.checkout / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        for name in TOOLS + BESIDE_BASH:
            if path := shutil.which(name):
                (self.tools / name).symlink_to(path)
            else:
                self.add(name, "echo 1.0")
        (self.tools / "python3").symlink_to(sys.executable)
        self.add("conda", "echo conda 25.1.0")
        (folder / "certificates").write_text("all of them")
        self.add("chromium", "echo Chromium 140.0.7339.80 snap")
        self.add("chromedriver", "echo ChromeDriver 140.0.7339.80")
        self.system("apt", "Linux x86_64")

    def add(self, name, text):
        """Put a shell script on PATH."""
        self.hide(name)
        (self.tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.tools / name).chmod(0o755)

    def hide(self, *names):
        for name in names:
            (self.tools / name).unlink(missing_ok=True)

    def system(self, installer, name):
        """Make it a machine that calls itself NAME, with one of the INSTALLERS, or None."""
        self.hide(*INSTALLERS.values())
        if installer:
            self.add(INSTALLERS[installer], "exit 1")
        self.add("uname", f"echo {name}")

    def make_environment(self, place=None, edition="3"):
        """Leave what `make env` leaves, made at the given place."""
        state = self.checkout / ".sandbox" / edition
        (state / "env/bin").mkdir(parents=True)
        (state / "env/bin/python").symlink_to(sys.executable)
        (state / "env.done").write_text(f"a checksum\n{place or self.checkout}\n")

    def doctor(self, *arguments, before=(), **variables):
        """Run bin/doctor; return its subprocess.CompletedProcess, output as text."""
        return self.run(*before, "bin/doctor", *arguments, **variables)

    def run(self, *command, **variables):
        certificates = str(self.checkout.with_name("certificates"))
        return subprocess.run(
            command,
            cwd=self.checkout,
            env={"PATH": str(self.tools), "SSL_CERT_FILE": certificates, **variables},
            capture_output=True,
            text=True,
            timeout=60,
        )

    def quiet(self, **variables):
        return self.doctor("--quiet", **variables)


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path.resolve())


def rows(outcome):
    """Return {what: (state, needed, where)} of the doctor's table."""
    table = outcome.stdout.split("\n\n")[0].splitlines()
    heads = ["what", "needed", "what it does", "where"]
    starts = [table[0].index(head) for head in heads]
    found = {}
    for line in table[1:]:
        cells = [line[a:b] for a, b in zip([0, *starts], [*starts, None], strict=True)]
        # The columns are straight: a blank before each.
        assert all(cell.endswith(" ") for cell in cells[:-1]), line
        state, what, needed, _, where = (cell.strip() for cell in cells)
        found[what] = state, needed, where
    return found


def row(outcome, name):
    """Return the row of the thing whose name begins like this."""
    (found,) = (cells for what, cells in rows(outcome).items() if what.startswith(name))
    return found


# --- a machine that has it all


def test_where_nothing_is_missing_all_is_listed_and_quiet_is_quiet(machine):
    run = machine.doctor()
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.endswith("\n\nEverything required is here.\n")
    table = rows(run)
    assert {cells[0] for cells in table.values()} <= {"found", "wrong"}
    names = {what.split()[0].rstrip(",") for what in table}
    assert names >= {*TOOLS, "Python", "conda", "chromium", "certificates"}
    assert table["conda 25.1.0"] == ("found", "any one", f"{machine.tools}/conda")
    version = sys.version.split()[0]
    assert table[f"Python {version}"] == ("found", "any one", f"{machine.tools}/python3")
    quiet = machine.quiet()
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    assert not (machine.checkout / ".sandbox").exists()


def test_quietly_with_an_environment_no_python_is_looked_for(machine):
    machine.hide("curl", "conda")
    machine.add("python3", f": >'{machine.checkout}/started'; echo ok $0")
    assert machine.quiet().returncode == 0
    started = machine.checkout / "started"
    assert started.exists()
    started.unlink()
    machine.make_environment()
    assert machine.quiet().returncode == 0
    assert not started.exists()
    assert rows(machine.doctor())["curl"] == ("missing", "optional", f"{SUDO}apt install curl")


def test_an_environment_that_was_made_elsewhere_is_none(machine):
    machine.hide("curl", "conda", "python3")
    machine.make_environment(place="/elsewhere")
    assert machine.quiet().returncode == 1


def test_only_the_usage_is_printed_to_who_asks_for_it_or_gets_it_wrong(machine):
    for code, arguments in [(0, ["--help"]), (2, ["--loud"]), (2, ["--quiet", "--quiet"])]:
        run = machine.doctor(*arguments)
        assert (run.returncode, run.stderr) == (code, "")
        assert "Usage: bin/doctor [--quiet]" in run.stdout
        assert "found" not in run.stdout


# --- a machine that lacks something


@pytest.mark.parametrize(
    ("hidden", "installer", "system", "command"),
    [
        ("awk", "dnf", "Linux x86_64", f"{SUDO}dnf install gawk"),
        ("awk", "apt", "Linux x86_64", f"{SUDO}apt install mawk"),
        ("awk", "brew", "Linux x86_64", "brew install gawk"),
        ("awk", None, "Linux x86_64", "install gawk"),
        ("sed", "dnf", "Linux aarch64", f"{SUDO}dnf install sed"),
        ("grep", "apt", "Linux aarch64", f"{SUDO}apt install grep"),
        ("make", "dnf", "Linux x86_64", f"{SUDO}dnf install make"),
        ("make", "apt", "Linux x86_64", f"{SUDO}apt install make"),
        ("make", "brew", "Darwin arm64", "xcode-select --install"),
        ("make", None, "Darwin arm64", "xcode-select --install"),
    ],
)
def test_a_required_tool_that_is_missing_is_named_with_what_installs_it(
    machine, hidden, installer, system, command
):
    machine.system(installer, system)
    machine.hide(hidden)
    run = machine.doctor()
    assert run.returncode == 1
    assert row(run, hidden) == ("missing", "required", command)
    assert run.stdout.endswith(f"\n\nSomething required is missing. To install it: {command}\n")
    quiet = machine.quiet()
    assert (quiet.returncode, quiet.stdout) == (1, "")
    missing, advice = quiet.stderr.splitlines()
    assert re.match(f"doctor: missing: {hidden}( 3.81)?, which ", missing)
    assert advice == f"doctor: install it with: {command}; for more, type: make doctor"


@pytest.mark.parametrize(
    ("installer", "system", "command"),
    [
        ("dnf", "Linux x86_64", f"{SUDO}dnf install make gawk grep curl python3"),
        ("apt", "Linux x86_64", f"{SUDO}apt install make mawk grep curl python3-venv"),
        (
            "brew",
            "Darwin arm64",
            "xcode-select --install && brew install gawk grep curl python",
        ),
    ],
)
def test_one_command_installs_everything_required_that_is_missing(
    machine, installer, system, command
):
    machine.system(installer, system)
    machine.hide("make", "awk", "grep", "curl", "python3", "conda", "git", "find", "chromium")
    run = machine.doctor()
    assert (run.returncode, run.stderr) == (1, "")
    assert run.stdout.endswith(f" To install it: {command}\n")
    assert row(run, "git")[:2] == ("missing", "optional")
    assert f"install it with: {command};" in machine.quiet().stderr


def test_an_optional_tool_that_is_missing_is_listed_and_no_failure(machine):
    machine.hide("git", "find", "chromium")
    run = machine.doctor()
    assert run.returncode == 0
    assert row(run, "git") == ("missing", "optional", f"{SUDO}apt install git")
    assert row(run, "find") == ("missing", "optional", f"{SUDO}apt install findutils")
    assert row(run, "chromium")[2].startswith(f"{SUDO}apt install chromium")
    assert run.stdout.endswith("\n\nEverything required is here.\n")
    assert (machine.quiet().returncode, machine.quiet().stderr) == (0, "")


def test_a_browser_without_its_driver_is_not_enough_for_the_tests(machine):
    machine.hide("chromedriver")
    state, need, where = row(machine.doctor(), "chromium")
    assert (state, need) == ("missing", "optional")
    assert where.endswith("(chromium is here, chromedriver is not)")


@pytest.mark.parametrize(
    ("version", "state"),
    [("GNU Make 3.80", "missing"), ("GNU Make 3.81", "found"), ("GNU Make 4.08.1", "found")],
)
def test_a_make_that_is_too_old_is_as_good_as_none(machine, version, state):
    machine.add("make", f"echo '{version}'")
    run = machine.doctor()
    assert row(run, "make")[0] == state
    assert (f"(this is make {version.split()[2]})" in run.stdout) == (state == "missing")
    assert run.returncode == (state == "missing")


# --- what the environment is made with


WAYS = ("curl", "python3", "conda")


@guarantee(
    "The machine",
    "no conda, no curl and no Python",
    "`make all` stops before anything is touched; any one of them is enough",
)
@pytest.mark.parametrize("way", WAYS)
def test_one_of_the_three_that_make_an_environment_is_enough(machine, way):
    machine.hide(*{*WAYS} - {way})
    assert machine.doctor().returncode == 0
    assert (machine.quiet().returncode, machine.quiet().stderr) == (0, "")
    machine.hide(way)
    assert machine.doctor().returncode == 1
    assert "doctor: missing: curl or Python or conda, which " in machine.quiet().stderr


def test_curl_is_no_use_without_something_to_check_its_download_with(machine):
    machine.hide("python3", "conda", "sha256sum")
    run = machine.doctor()
    assert run.returncode == 1
    assert row(run, "sha256sum") == ("missing", "any one", f"{SUDO}apt install coreutils")
    machine.add("shasum", "echo 6.02")
    assert machine.doctor().returncode == 0


def test_a_python_without_venv_is_no_use_and_the_package_is_named(machine):
    """As Debian's python3 is without python3-venv: it runs, but can't import ensurepip."""
    hide = "import sys; sys.modules['ensurepip'] = None"
    script = f'shift 2\nprobe=$1\nshift\nexec "{sys.executable}" -I -c "{hide}\n$probe" "$@"'
    machine.add("python3", script)
    reason = f"({machine.tools}/python3 has no venv or ensurepip)"
    assert row(machine.doctor(), "Python") == (
        *("missing", "any one"),
        f"{SUDO}apt install python3-venv {reason}",
    )
    quiet = machine.quiet(ENV_MANAGER="venv")
    assert quiet.returncode == 1
    assert reason in quiet.stderr
    assert f"{SUDO}apt install python3-venv;" in quiet.stderr


@pytest.mark.parametrize(
    ("installer", "newest", "command"),
    [
        ("dnf", "3.14", f"{SUDO}dnf install python3.14"),
        ("dnf", "3.12", f"{SUDO}dnf install python3.12"),
        ("dnf", "3.7", ""),
        ("brew", "3.14", "brew install python@3.14"),
        ("apt", "3.14", ""),
    ],
)
def test_where_python_is_too_old_another_is_offered_if_the_system_has_one(
    machine, installer, newest, command
):
    machine.system(installer, "Linux x86_64")
    machine.add("python3", "echo is Python 3.6")
    reason = f"({machine.tools}/python3 is Python 3.6)"
    variables = {"ENV_MANAGER": "venv", "PYTHON_MIN": "3.7", "PYTHON_MAX": newest}
    run = machine.doctor(**variables)
    assert run.returncode == 1
    assert row(run, "Python") == ("missing", "required", f"{command} {reason}".strip())
    assert machine.quiet().returncode == 0  # curl fetches a micromamba, which has its own
    # The same as from libexec/find-python.
    found = machine.run("libexec/find-python", **variables)
    assert re.findall(r"from this system: (.*)", found.stderr) == ([command] if command else [])


@pytest.mark.parametrize(("least", "newest"), [("3.7", "3.7"), ("3.8", "3.9")])
@pytest.mark.parametrize("name", ["python3", "python3.99"])
def test_a_python_out_of_the_range_will_do_where_uv_fetches_one_in_it(machine, name, least, newest):
    """Also one that is newer than all that this kit has heard of, and has no other name."""
    (machine.tools / "python3").rename(machine.tools / name)
    machine.hide("curl", "conda")
    variables = {"PYTHON_MIN": least, "PYTHON_MAX": newest}
    assert machine.quiet(**variables).returncode == 0
    run = machine.doctor(ENV_MANAGER="venv", **variables)
    assert run.returncode == 0
    assert row(run, "Python") == ("found", "required", f"{machine.tools}/{name}")
    wanted = newest if least == newest else f"{least} to {newest}"
    assert f"fetches a Python {wanted} (uv)" in run.stdout


@pytest.mark.parametrize(
    ("given", "what", "reason"),
    [
        ({"PYTHON": "/no/python"}, "Python 3.10 to 3.14", "PYTHON=/no/python is not a command"),
        ({"CONDA": "/no/conda"}, "conda", "CONDA=/no/conda is not a command"),
        ({"CONDA": "broken"}, "conda", "CONDA=broken does not run"),
        ({"PYTHON": "broken"}, "Python 3.10 to 3.14", "PYTHON=broken does not run"),
    ],
)
def test_a_given_python_or_conda_that_is_no_use_is_named_with_the_reason(
    machine, given, what, reason
):
    machine.add("broken", "exit 127")
    quiet = machine.quiet(**given)
    assert quiet.returncode == 1
    assert f"doctor: missing: {what}, which makes the environment" in quiet.stderr
    assert reason in quiet.stderr
    machine.make_environment()
    assert machine.quiet(**given).returncode == 0


def test_who_wants_conda_needs_a_client_or_curl_and_no_python(machine):
    machine.hide("conda")
    assert machine.quiet(ENV_MANAGER="conda").returncode == 0
    machine.hide("curl")
    quiet = machine.quiet(ENV_MANAGER="conda")
    assert quiet.returncode == 1
    assert "missing: curl or conda, which" in quiet.stderr
    assert "python" not in quiet.stderr


@pytest.mark.parametrize(
    ("installer", "system", "command"),
    [
        ("dnf", "Linux aarch64", f"{SUDO}dnf install gcc-c++"),
        ("apt", "Linux aarch64", f"{SUDO}apt install g++"),
        ("brew", "Darwin x86_64", "xcode-select --install"),
    ],
)
def test_a_compiler_is_required_only_where_packages_must_be_compiled(
    machine, installer, system, command
):
    machine.system(installer, system)
    old = {"EDITION": "1.10", "PYTHON_MIN": "3.7", "PYTHON_MAX": "3.7"}
    assert row(machine.doctor(**old), "g++") == ("missing", "required", command)
    assert machine.quiet(**old).returncode == 1
    assert machine.quiet(EDITION="3").returncode == 0
    machine.system(installer, "Linux x86_64")
    assert machine.quiet(**old).returncode == 0
    machine.system(installer, system)
    machine.make_environment(edition="1.10")
    assert machine.quiet(**old).returncode == 0


# --- a machine that is short of something, which a process can be made to believe by its own mounts


def with_mounts(script):
    """Return the words before a command that have the script run first, which may mount things."""
    unshare, bash = shutil.which("unshare"), shutil.which("bash")
    script = f'(PATH=\'{os.environ["PATH"]}\'; {script}) && cd "$PWD" && exec "$@"'
    before = [unshare, "-r", "-m", bash, "-ec", script, "bash"]
    if not unshare or subprocess.run([*before, bash, "-c", ":"], capture_output=True).returncode:
        pytest.skip("this machine does not let a process have mounts of its own")
    return before


def test_too_little_disk_or_memory_is_shown_and_is_no_failure(machine):
    """2 GB are needed to make an environment, and next to nothing beside one."""
    place, files = machine.checkout, machine.checkout.with_name("files")
    place.rename(files)
    place.mkdir()
    mount = f"mount -t tmpfs -o size=500m none '{place}'"
    before = with_mounts(f"{mount} && cp -R '{files}/.' '{place}'")
    run = machine.doctor(before=before)
    assert run.returncode == 0
    state, needed, where = row(run, "the machine")
    assert (state, needed) == ("wrong", "advised")
    assert re.match(r"the disk is full, or nearly: 49\d MB are free for .* make room there$", where)
    machine.checkout = files
    machine.make_environment(place)
    machine.checkout = place
    assert row(machine.doctor(before=before), "the machine")[0] == "found"


def test_certificates_that_are_missing_are_advised_on_linux(machine):
    folders = [folder for folder in ("/etc/ssl", "/etc/pki") if Path(folder).exists()]
    before = with_mounts(" && ".join(f"mount -t tmpfs none {folder}" for folder in folders))
    run = machine.doctor(before=before, SSL_CERT_FILE="")
    assert run.returncode == 0
    advice = "apt install ca-certificates"  # by root, who it is in its own namespace
    assert rows(run)["certificates"] == ("missing", "advised", advice)
    assert run.stdout.endswith(f"is here. To install what is recommended: {advice}\n")


# --- make


def test_make_all_asks_the_doctor_before_all_else_and_hears_nothing(new_checkout):
    checkout = new_checkout()
    commands = checkout.make("-n", "all").stdout.splitlines()
    assert commands[:2] == ["bash libexec/preflight", "bin/doctor --quiet"]
    ready = checkout.make("ready")
    assert (ready.returncode, ready.stdout, ready.stderr) == (0, "", "")


@guarantee(
    "The machine",
    "a required tool is missing",
    "`make all` stops before anything is touched, and names the command that installs it",
)
@pytest.mark.parametrize("made", [True, False], ids=["with", "without"])
def test_make_all_stops_at_once_where_something_required_is_missing(new_checkout, machine, made):
    checkout = new_checkout()
    if made:
        machine.hide("grep")
        missing = "grep"
    else:
        (checkout.state / "env.done").unlink()
        machine.hide("curl", "python3", "conda")
        missing = "curl or Python or conda"
    before = sorted(checkout.path.rglob("*"))
    outcome = checkout.make("all", env={"PATH": str(machine.tools)})
    assert (outcome.returncode, outcome.stdout) == (2, "")
    first, second, last = outcome.stderr.splitlines()
    assert first.startswith(f"doctor: missing: {missing}, which")
    assert second.startswith(f"doctor: install it with: {SUDO}apt install ")
    assert last.startswith("make: *** ")
    assert sorted(checkout.path.rglob("*")) == before


def test_make_doctor_fails_where_the_edition_lacks_something(new_checkout, machine):
    checkout = new_checkout()
    machine.hide("awk", "python3")
    outcome = checkout.run("make", "doctor", "EDITION=2", env={"PATH": str(machine.tools)})
    assert outcome.returncode == 2
    assert row(outcome, "awk")[0] == row(outcome, "Python 3.10 to 3.12")[0] == "missing"
    assert machine.quiet(EDITION="2").stderr.endswith("type: make doctor EDITION=2\n")
