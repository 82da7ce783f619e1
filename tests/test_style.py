"""The project's own files pass the linters of the development tools (`make lint`)."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from support.guarantees import guarantee

PROJECT = Path(__file__).resolve().parent.parent
TOOLS = Path(os.environ.get("TOOLS_PYTHON") or PROJECT / ".sandbox/3/tools/bin/python").parent


def own_files():
    """What git tracks or would track; without git, all but what the kit itself makes."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    if (PROJECT / ".git").exists() and shutil.which("git"):
        names = subprocess.run(
            listing, cwd=PROJECT, capture_output=True, text=True, check=True
        ).stdout.split("\0")
        paths = [PROJECT / name for name in names if name]
    else:
        made = {
            ".sandbox",
            "results",
            "my-exercises",
            "__pycache__",
            ".pytest_cache",
            ".ruff_cache",
        }
        paths = [
            path for path in PROJECT.rglob("*") if not made & set(path.relative_to(PROJECT).parts)
        ]
    return sorted(path for path in paths if path.is_file() and not path.is_symlink())


def runs_in(path, interpreter):
    """Return whether a file's first line says that an interpreter is to run it: bash, python3."""
    with path.open("rb") as file:
        first = file.readline()
    return first.startswith(b"#!") and first.rstrip().endswith(interpreter)


def check(tool, *arguments, files):
    """Run a tool over files; its own report is the failure's message."""
    executable = TOOLS / tool
    assert executable.exists(), f"{tool} is not installed; install it with: make tools"
    assert files
    run = subprocess.run(
        [executable, *arguments, *files], cwd=PROJECT, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stdout + run.stderr


def python_files():
    return [path for path in own_files() if path.suffix == ".py" or runs_in(path, b"python3")]


def shell_files():
    return [path for path in own_files() if path.suffix == ".sh" or runs_in(path, b"sh")]


def test_ruff_finds_nothing_to_complain_of():
    check("ruff", "check", "--no-cache", files=python_files())


def test_the_python_is_formatted_as_ruff_formats_it():
    check("ruff", "format", "--no-cache", "--diff", files=python_files())


def test_shellcheck_finds_nothing_to_complain_of():
    check("shellcheck", "-x", files=shell_files())


def test_the_shell_is_formatted_as_shfmt_formats_it():
    check("shfmt", "-d", "-i", "4", files=shell_files())


FETCH = r"\b(curl|wget)\b"
SHELL = r"\b(ba|da|k|z)?sh\b"


@guarantee(
    "What is downloaded",
    "anything",
    "never piped into a shell",
)
def test_no_download_is_run_unseen_by_a_shell():
    """Neither by a command of the kit's nor by one that its documents tell the reader to type."""
    piped = re.compile(rf"{FETCH}[^\n]*\|[^|\n]*{SHELL}|{SHELL}[^\n]*[<$]\([^)\n]*{FETCH}")
    for path in own_files():
        text = path.read_bytes().decode(errors="replace").replace("\\\n", "")
        assert not piped.search(text), f"{path}: {piped.search(text)[0]}"


def test_the_workflow_is_as_githubs_schema_has_it():
    workflows = [path for path in own_files() if path.parent == PROJECT / ".github/workflows"]
    check("check-jsonschema", "--builtin-schema", "vendor.github-workflows", files=workflows)
    watch = [PROJECT / ".github/dependabot.yml"]
    check("check-jsonschema", "--builtin-schema", "vendor.dependabot", files=watch)


def test_text_files_are_as_the_editorconfig_has_them():
    """It is for editors; this is what notices when one of them does not read it."""
    binary = {".png", ".whl"}
    for path in own_files():
        if path.suffix in binary or path.suffix == ".data":
            continue
        text = path.read_bytes()
        assert b"\r" not in text and (not text or text.endswith(b"\n")), path
        spaced = [line for line in text.decode().splitlines() if line.endswith((" ", "\t"))]
        assert not spaced, f"{path}: {spaced[0]!r}"


def test_the_hook_before_a_commit_runs_the_linters():
    hooks = (PROJECT / ".pre-commit-config.yaml").read_text()
    assert re.findall(r"entry: (.*)", hooks) == ["make lint"]
