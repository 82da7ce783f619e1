"""Commands, as messages name them and as make hands them on (Python 3.7)."""

import os
import shlex

from airflow_sandbox.errors import UserError


def make_command(target, **variables):
    """Return a make command for the installation that this process runs in.

    variables: what it sets beside EDITION, DB, EXECUTOR and SHARED, which bin/sandbox has worked
    out. For example: make_command("backfill", START=day) is "make backfill START=2026-11-23
    EXECUTOR=celery".
    """
    words = [f"{name}={shlex.quote(str(value))}" for name, value in variables.items()]
    return " ".join(["make", target, *words, os.environ.get("SANDBOX_VARIABLES", "")]).rstrip()


def spread(words):
    """Return a command's words with those of an `--options "WORD ..."` in its place.

    Raises UserError if a quote in there is not closed.
    """
    if "--options" not in words[:-1]:
        return list(words)
    at = words.index("--options")
    try:
        return [*words[:at], *shlex.split(words[at + 1]), *words[at + 2 :]]
    except ValueError as error:
        raise UserError(f"--options: {error}", 2) from error
