"""libexec/preflight: where the kit can't work it says so in one line, before anything is made."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from support.checkouts import PROJECT
from support.faults import Mounts
from support.guarantees import guarantee


def refused(outcome, *words):
    """Assert that a make was refused by one line of preflight that has these words."""
    assert outcome.returncode == 2, outcome.stdout + outcome.stderr
    said = [line for line in outcome.stderr.splitlines() if not line.startswith("make: ")]
    assert len(said) == 1, outcome.stderr
    assert said[0].startswith("preflight: ")
    for word in words:
        assert word in said[0]


@pytest.fixture
def checkout(new_checkout):
    return new_checkout()


@guarantee(
    "The place",
    "a path with `:`, `?`, `#`, `$`, `{{` or a line break in it",
    "refused",
)
@pytest.mark.parametrize(
    "name", ["a:b", "what?", "a#b", "$HOME", "{{ds}}", "{% x", "{# x", "two\nlines"]
)
def test_a_path_that_cannot_work_is_refused(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    outcome = subprocess.run(
        ["bash", PROJECT / "libexec/preflight"], cwd=folder, capture_output=True, text=True
    )
    assert outcome.returncode == 2
    assert "move this checkout elsewhere" in outcome.stderr
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("edition", ["2", "1.10"])
def test_a_path_that_an_edition_cannot_work_in_is_refused(checkout, edition):
    moved = checkout.path.rename(checkout.path.with_name("100%"))
    outcome = subprocess.run(
        ["make", "env", f"EDITION={edition}"], cwd=moved, capture_output=True, text=True
    )
    refused(outcome, f"edition {edition} can't work below a path with % in it")
    assert not (moved / ".sandbox" / edition).exists()


@guarantee(
    "The place",
    "run bits that an archive has lost",
    "refused",
)
def test_without_its_run_bits_it_says_how_to_have_them_back(checkout):
    """As unpacked from a zip by a program that forgets them."""
    folders = [checkout.path / "bin", checkout.path / "libexec"]
    lost = [path for folder in folders for path in folder.iterdir() if path.is_file()]
    for path in [*lost, checkout.path / "regress.py"]:
        path.chmod(0o644)
    outcome = checkout.make("all")
    refused(outcome, "restore it with: chmod +x bin/* libexec/* regress.py")
    assert checkout.run("bash", "-c", "chmod +x bin/* libexec/* regress.py").returncode == 0
    assert checkout.make("env").returncode == 0


@guarantee(
    "The place",
    "a file system mounted with noexec, or one without symbolic links or file locks",
    "refused",
)
def test_where_nothing_can_be_run_it_says_so(checkout):
    noexec = 'mount --bind "$1" "$1"; mount -o remount,bind,noexec "$1"'
    mounts = Mounts(checkout.path, noexec)
    outcome = checkout.run(*mounts.enter, "make", "all")
    mounts.close()
    refused(outcome, "mounted with noexec", str(checkout.path))


@guarantee(
    "The place",
    "a file system mounted with noexec, or one without symbolic links or file locks",
    "refused",
)
@pytest.mark.parametrize(
    ("calls", "error", "words"),
    [
        ("symlink,symlinkat", "EPERM", "has no symbolic links"),
        ("flock", "ENOSYS", "has no file locks (Function not implemented)"),
    ],
)
def test_where_there_are_no_links_or_locks_it_says_so(checkout, calls, error, words):
    if not shutil.which("strace"):
        pytest.skip("only strace can make links and locks impossible")
    fault = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject={calls}:error={error}"]
    fault += ["-e", f"trace={calls}"]
    if calls == "flock":  # where there is an environment, its Python asks
        assert words in checkout.run(*fault, "make", "begin").stderr
    shutil.rmtree(checkout.path / ".sandbox")
    outcome = checkout.run(*fault, "make", "all")
    refused(outcome, words, str(checkout.path))
    assert not list(checkout.path.glob(".sandbox*"))


@pytest.fixture
def stranger(checkout):
    """What goes before a command to run it in a copy of the checkout as a user without a name."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        copy = Path(folder, "kit")
        shutil.copytree(checkout.path, copy, symlinks=True)
        for path in [copy, *copy.rglob("*")]:
            os.chown(path, 54321, 54321, follow_symlinks=False)
        checkout.path = copy
        yield ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"]


@guarantee(
    "The place",
    "files that a `sudo make` has left",
    "refused",
)
def test_what_a_sudo_make_left_is_named_with_its_cure(checkout, stranger):
    left = checkout.path / "results/3/2024-01-01/results.csv"
    left.parent.mkdir(parents=True)
    left.touch()
    outcome = checkout.run(*stranger, "make", "backfill")
    refused(outcome, "results is another user's", "sudo chown -R 54321 .sandbox results")
    for path in [checkout.path / "results", *(checkout.path / "results").rglob("*")]:
        path.chmod(0o777)
    assert checkout.run(*stranger, "bash", "libexec/preflight").returncode == 0
    for path in [checkout.path / "results", *(checkout.path / "results").rglob("*")]:
        path.chmod(0o755)
    cure = outcome.stderr.splitlines()[0].rpartition("sudo ")[2].split()
    assert checkout.run(*cure).returncode == 0
    # Nor does what a task has left read-only keep its owner from make clean.
    left = "mkdir -p .sandbox/3/airflow/a/b && chmod -R a-w .sandbox/3/airflow/a && make clean"
    assert checkout.run(*stranger, "bash", "-c", left).returncode == 0
    assert not (checkout.path / ".sandbox/3/airflow").exists()


@guarantee(
    "The place",
    "a /proc that hides processes",
    "refused, for edition 3",
)
def test_where_processes_are_hidden_it_says_so(checkout, stranger):
    mount = 'mount -t proc -o hidepid=2 proc /proc; exec "$@"'
    hide = ["unshare", "--mount", "bash", "-c", mount, "-"]
    outcome = checkout.run(*hide, *stranger, "make", "backfill")
    older = checkout.run(*hide, *stranger, "env", "EDITION=2", "bash", "libexec/preflight")
    refused(outcome, "mounted with hidepid", "sudo mount -o remount,hidepid=0 /proc")
    assert older.returncode == 0  # whose Airflow hides nothing


@guarantee(
    "The machine",
    "a clock that was never set",
    "refused",
)
def test_a_clock_of_1970_is_refused(checkout, tmp_path):
    (tmp_path / "date").write_text('#!/bin/sh\nexec /bin/date -d @0 "$@"\n')
    (tmp_path / "date").chmod(0o755)
    old = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    refused(checkout.make("all", env=old), "the clock says Thu Jan  1 00:00:00 UTC 1970; set it")


@guarantee(
    "The place",
    "a user without a name",
    "works",
)
def test_a_user_without_a_name_can_run_it(checkout):
    """As in a container that was started with a number for its user."""
    enter = ["unshare", "--map-user=54321", "--map-group=54321"]
    if subprocess.run([*enter, "true"], capture_output=True).returncode != 0:
        pytest.skip("this machine lets nobody have another number")
    nameless = {k: v for k, v in os.environ.items() if k not in ("USER", "LOGNAME")}
    outcome = checkout.run(*enter, "make", "config", env=nameless)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    name = checkout.run(*enter, "bin/sandbox", "python", "-c", "import pwd; pwd.getpwuid(54321)")
    assert "KeyError" in name.stderr


def test_from_another_folder_it_says_how(checkout, tmp_path):
    outcome = subprocess.run(
        ["make", "-f", checkout.path / "Makefile", "all"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert outcome.returncode == 2
    assert f"this folder is not the checkout; type: make -C '{checkout.path}'" in outcome.stderr
    assert list(tmp_path.iterdir()) == []


@guarantee(
    "The place",
    "git set to end lines as Windows does",
    "a clone is the same",
)
def test_a_clone_with_autocrlf_keeps_its_line_ends(checkout, tmp_path):
    clone = tmp_path / "clone"
    git = ["git", "-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
    for command in "init -q", "add .", "commit -qm all":
        assert checkout.run(*git, *command.split()).returncode == 0
    command = ["git", "clone", "-qc", "core.autocrlf=true", checkout.path, clone]
    subprocess.run(command, check=True)
    names = subprocess.run(["git", "ls-files"], cwd=clone, capture_output=True, text=True).stdout
    assert len(names.splitlines()) > 50
    for name in names.splitlines():
        assert (clone / name).read_bytes() == (checkout.path / name).read_bytes(), name
