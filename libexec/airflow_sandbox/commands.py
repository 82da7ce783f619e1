"""Commands, as messages name them and as make hands them on (Python 3.7)."""

import contextlib
import json
import os
import re
import shlex

from airflow_sandbox.errors import UserError

# Where in a line of options a JSON object begins that is not quoted.
JSON = re.compile(r"(?<!\S)--?[a-z][a-z-]*[= ] *(?={)")


def make_command(target, **variables):
    """Return a make command for the installation that this process runs in.

    variables: what it sets beside those that select the installation, which bin/sandbox has worked
    out. For example: make_command("backfill", START=day) is "make backfill START=2026-11-23
    EXECUTOR=celery".
    """
    words = [f"{name}={shlex.quote(str(value))}" for name, value in variables.items()]
    return " ".join(["make", target, *words]) + os.environ.get("SANDBOX_VARIABLES", "")


def sandbox_command(*words):
    """Return a command for a prompt that runs these words in this process's installation."""
    variables = os.environ.get("SANDBOX_VARIABLES", "").split()
    return " ".join([*variables, "bin/sandbox", *map(shlex.quote, words)])


def make_again(target, **changes):
    """Return a make command with all variables that make was given, such as OPTIONS.

    changes: what it sets instead of those, or beside them; one that is None is left out.
    """
    given = shlex.split(os.environ.get("SANDBOX_WORDS", ""))
    variables = {**dict(word.split("=", 1) for word in given), **changes}
    return make_command(target, **{k: v for k, v in variables.items() if v is not None})


def spread(words):
    """Return a command's words with those of an `--options "WORD ..."` in its place.

    A JSON object in there need not be quoted. Raises UserError if a quote is not closed.
    """
    if "--options" not in words[:-1]:
        return list(words)
    at = words.index("--options")
    text = words[at + 1]
    for start in reversed([found.end() for found in JSON.finditer(text)]):
        with contextlib.suppress(ValueError):
            _, end = json.JSONDecoder().raw_decode(text, start)
            text = text[:start] + shlex.quote(text[start:end]) + text[end:]
    try:
        return [*words[:at], *shlex.split(text), *words[at + 2 :]]
    except ValueError as error:
        raise UserError(f"--options: {error}", 2) from error
