"""Paths as a user reads them, and files that are never half-written (Python 3.7)."""

import configparser
import os
from pathlib import Path

from airflow_sandbox.errors import UserError


def dags_folder(home, environment=os.environ):
    """Return the DAGs folder of an AIRFLOW_HOME: make's DAGS, or else that in airflow.cfg.

    environment: that of the process which it is asked for. Raises UserError without an airflow.cfg.
    """
    settings = configparser.RawConfigParser()
    file = home / "airflow.cfg"
    if not settings.read(str(file), encoding="utf-8"):
        raise UserError(f"there is no {shown(file)}; make config, or make verify DAG=all, makes it")
    chosen = settings["core"]["dags_folder"].replace("%%", "%")
    return Path(environment.get("AIRFLOW__CORE__DAGS_FOLDER", chosen)).resolve()


def tests_folder(folder):
    """Return where the tests of the DAGs in a folder are: in ../tests, as in many a repository.

    Those of the checkout's own DAGs are in tests/dags, beside the tests of the kit.
    """
    return Path("tests/dags") if folder == Path("dags").resolve() else folder.parent / "tests"


def shown(path):
    """Return a path as a user would type it: relative if it is below the current directory."""
    relative = os.path.relpath(str(path))
    return str(path) if relative.startswith("..") else relative


def write_whole(path, text, mode=0o600):
    """Write a text file whole or not at all: beside it first, then renamed.

    path: a pathlib.Path. mode: its permissions. A reader sees the old file or the new one; on an
    error the old one stays as it was.
    """
    new = path.with_name(path.name + ".new")
    try:
        new.touch(mode=0o600)
        new.write_text(text, encoding="utf-8")
        new.chmod(mode)
        os.replace(str(new), str(path))
    finally:
        if new.exists():
            new.unlink()
