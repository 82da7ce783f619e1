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
TOOLS = ["awk", "bash", "curl", "find", "git", "grep", "make", "sed"]
# Every system with a bash has these.
BESIDE_BASH = ["cat", "date", "df", "dirname", "env", "ln", "sha256sum"]
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
        self.system("apt")

    def add(self, name, text):
        """Put a shell script on PATH."""
        self.hide(name)
        (self.tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.tools / name).chmod(0o755)

    def hide(self, *names):
        for name in names:
            (self.tools / name).unlink(missing_ok=True)

    def system(self, installer):
        """Make it a machine with apt, dnf or brew."""
        self.hide("dnf")
        if installer == "dnf":
            self.add("dnf", "exit 1")
        self.add("uname", "echo Darwin" if installer == "brew" else "echo Linux")

    def make_environment(self, place=None):
        """Leave what `make env` leaves, made at the given place."""
        state = self.checkout / ".sandbox/3"
        (state / "env/bin").mkdir(parents=True)
        (state / "env/bin/python").symlink_to(sys.executable)
        (state / "env.done").write_text(f"a checksum\n{place or self.checkout}\n")

    def doctor(self, *arguments, **variables):
        """Run bin/doctor; return its subprocess.CompletedProcess, output as text."""
        return subprocess.run(
            ["bin/doctor", *arguments],
            cwd=self.checkout,
            env={"PATH": str(self.tools), **variables},
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
    # A line that begins with blanks goes on with the one before.
    for line in re.sub(r"\n {10}", " ", "\n".join(table[1:])).splitlines():
        cells = [line[a:b] for a, b in zip([0, *starts], [*starts, None], strict=True)]
        # The columns are straight: a blank before each.
        assert all(cell.endswith(" ") for cell in cells[:-1]), line
        state, what, needed, _, where = (cell.strip() for cell in cells)
        found[what] = state, needed, where
    return found


# --- a machine that has it all


def test_where_nothing_is_missing_all_is_listed_and_quiet_is_quiet(machine):
    run = machine.doctor()
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.endswith("\n\nEverything required is here.\n")
    table = rows(run)
    assert {cells[0] for cells in table.values()} <= {"found", "wrong"}
    assert table.keys() >= {*TOOLS}
    assert table["conda"] == ("found", "any one", f"{machine.tools}/conda")
    assert table["Python"] == ("found", "any one", f"{machine.tools}/python3")
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
    ("installer", "command"),
    [
        ("dnf", f"{SUDO}dnf install make gawk grep curl python3"),
        ("apt", f"{SUDO}apt install make mawk grep curl python3-venv"),
        ("brew", "xcode-select --install && brew install gawk grep curl python"),
    ],
)
def test_one_command_installs_everything_required_that_is_missing(machine, installer, command):
    machine.system(installer)
    machine.hide("make", "awk", "grep", "curl", "python3", "conda", "git", "find")
    run = machine.doctor()
    assert run.returncode == 1
    assert run.stdout.endswith(f"\n\nSomething required is missing. To install it: {command}\n")
    missing = {what: cells[1] for what, cells in rows(run).items() if cells[0] == "missing"}
    assert missing == {
        **dict.fromkeys(["make", "awk", "grep"], "required"),
        **dict.fromkeys(["curl", "Python", "conda"], "any one"),
        **dict.fromkeys(["git", "find"], "optional"),
    }
    quiet = machine.quiet()
    assert (quiet.returncode, quiet.stdout) == (1, "")
    *lines, advice = quiet.stderr.splitlines()
    assert all(re.match("doctor: missing: .+, which ", line) for line in lines)
    assert advice == f"doctor: install it with: {command}; for more, type: make doctor"


def test_on_a_mac_apples_own_make_is_enough(machine):
    machine.system("brew")
    machine.hide("make")
    assert machine.doctor().stdout.endswith("To install it: xcode-select --install\n")


def test_an_optional_tool_that_is_missing_is_listed_and_no_failure(machine):
    machine.hide("git")
    run = machine.doctor()
    assert run.returncode == 0
    assert rows(run)["git"] == ("missing", "optional", f"{SUDO}apt install git")
    assert run.stdout.endswith("\n\nEverything required is here.\n")


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


def test_a_python_without_venv_is_no_use_and_the_package_is_named(machine):
    """As Debian's python3 is without python3-venv: it runs, but can't import ensurepip."""
    hide = "import sys; sys.modules['ensurepip'] = None"
    script = f'shift 2\nprobe=$1\nshift\nexec "{sys.executable}" -I -c "{hide}\n$probe" "$@"'
    machine.add("python3", script)
    state, needed, where = rows(machine.doctor())["Python"]
    assert (state, needed) == ("missing", "any one")
    assert where.startswith(f"{SUDO}apt install python3-venv (")
    assert where.endswith(f"; {machine.tools}/python3 has no venv or ensurepip)")
    quiet = machine.quiet(ENV_MANAGER="venv")
    assert quiet.returncode == 1
    assert "has no venv or ensurepip)\n" in quiet.stderr
    assert f"{SUDO}apt install python3-venv;" in quiet.stderr


def test_where_python_is_too_old_the_systems_own_is_not_offered(machine):
    machine.add("python3", "echo is Python 3.6")
    run = machine.doctor(ENV_MANAGER="venv")
    assert run.returncode == 1
    state, needed, where = rows(run)["Python"]
    assert (state, needed) == ("missing", "required")
    assert where == f"(no usable Python on PATH; {machine.tools}/python3 is Python 3.6)"
    assert machine.quiet().returncode == 0  # curl fetches a micromamba, which has its own


@pytest.mark.parametrize("name", ["python3", "python3.99"])
def test_a_python_out_of_the_range_will_do_as_uv_fetches_one_in_it(machine, name):
    """Also one that is newer than all that the kit knows, and has no other name."""
    (machine.tools / "python3").rename(machine.tools / name)
    machine.hide("curl", "conda")
    for variables in {}, {"ENV_MANAGER": "venv"}:
        run = machine.doctor(PYTHON_MIN="3.7", PYTHON_MAX="3.7", **variables)
        assert run.returncode == 0
        assert rows(run)["Python"][2] == f"{machine.tools}/{name}"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"PYTHON": "/no/python"}, "Python, which makes the environment (venv) (PYTHON=/no"),
        ({"CONDA": "/no/conda"}, "conda, which makes the environment (CONDA=/no/conda does"),
        ({"PYTHON": "broken"}, "(PYTHON=broken does not run"),
    ],
)
def test_a_given_python_or_conda_that_is_no_use_is_named_with_the_reason(machine, given, reason):
    machine.add("broken", "exit 127")
    quiet = machine.quiet(**given)
    assert quiet.returncode == 1
    assert reason in quiet.stderr
    assert "install it" not in quiet.stderr
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


# --- a machine that is short of something


def test_too_little_disk_is_shown_and_is_no_failure(machine):
    """2 GB are needed to make an environment, and next to nothing beside one."""
    machine.add("df", "echo Filesystem; echo tmpfs 512000 10240 501760 2% /somewhere")
    run = machine.doctor()
    assert run.returncode == 0
    state, needed, where = rows(run)["the machine"]
    assert (state, needed) == ("wrong", "advised")
    assert re.match(r"the disk is full, or nearly: 490 MB are free for .* make room there$", where)
    machine.make_environment()
    assert "the machine" not in rows(machine.doctor())


# --- make


def test_make_all_runs_the_doctor_first_and_it_prints_nothing(new_checkout):
    checkout = new_checkout()
    commands = checkout.make("-n", "all").stdout.splitlines()
    assert commands[:2] == ["bash libexec/preflight", "bin/doctor --quiet"]
    alone = checkout.make("prerequisites")
    assert (alone.returncode, alone.stdout, alone.stderr) == (0, "", "")


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
    assert machine.quiet(EDITION="2").stderr.endswith("type: make doctor EDITION=2\n")
