"""A stand-in for a conda client: `client.py env create -q -p PREFIX -f FILE`, and `--version`.

It makes PREFIX from the interpreter that runs it and the uv beside that, and checks what a client
would. Read README.md beside it for what that proves.
"""

import os
import platform
import shutil
import sys
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from relocatable import python_tree


def fail(message):
    sys.exit(f"stand-in: {message}")


def main(arguments):
    if arguments == ["--version"]:
        print("2.8.1")
        return
    if [*arguments[:4], arguments[5]] != ["env", "create", "-q", "-p", "-f"]:
        fail(f"what a client understands differently: {arguments}")
    prefix, file = Path(arguments[4]), Path(arguments[6])
    if sys.stdin.read():
        fail("stdin must be /dev/null; a real client would take it as an answer")
    if "/.sandbox/cache/" not in os.environ["CONDA_PKGS_DIRS"]:
        fail("downloads would not stay in the checkout")
    if prefix.exists():
        fail(f"{prefix} exists; real clients differ wildly there")
    wanted = yaml.safe_load(file.read_text(encoding="utf-8"))
    if set(wanted) != {"name", "channels", "dependencies"} or wanted["channels"] != ["conda-forge"]:
        fail(f"{file} has keys or channels that this client does not know: {wanted}")
    python, uv = map(Requirement, wanted["dependencies"])
    if (python.name, uv.name) != (
        "python",
        "uv",
    ) or platform.python_version() not in python.specifier:
        fail(f"nothing provides {python}")
    prefix.mkdir(parents=True)
    python_tree(prefix)
    shutil.copy(Path(sys.executable).with_name("uv"), prefix / "bin")
    (prefix / "conda-meta").mkdir()


if __name__ == "__main__":
    main(sys.argv[1:])
