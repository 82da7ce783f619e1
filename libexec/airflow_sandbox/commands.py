"""Commands, as messages name them and as make hands them on (Python 3.7)."""

import os
import re
import shlex

from airflow_sandbox.errors import UserError


def make_command(target, given=False, **variables):
    """Return a make command for the installation that this process runs in.

    given: whether it also repeats what else make was given, such as OPTIONS. variables: what it
    sets instead of that, or beside it; one that is None is left out.
    """
    words = shlex.split(os.environ.get("SANDBOX_WORDS", "")) if given else []
    variables = {**variables, **dict(word.split("=", 1) for word in words), **variables}
    words = [f"{k}={shlex.quote(str(v))}" for k, v in variables.items() if v is not None]
    return " ".join(["make", target, *words]) + os.environ.get("SANDBOX_VARIABLES", "")


def sandbox_command(*words):
    """Return a command for a prompt that runs these words in this process's installation."""
    words = [os.environ.get("SANDBOX_BY_HAND", ""), "bin/sandbox", *map(shlex.quote, words)]
    return " ".join(words).lstrip()


def spread(words):
    """Return a command's words with those of an `--options "WORD ..."` in its place.

    {"key": "value"} is one word there, and keeps its quotes. Raises UserError if a quote is not
    closed.
    """
    if "--options" not in words[:-1]:
        return list(words)
    at = words.index("--options")
    text = re.sub(r'(?<=[\s=]){\s*".*}', lambda json: shlex.quote(json[0]), words[at + 1])
    try:
        return [*words[:at], *shlex.split(text), *words[at + 2 :]]
    except ValueError as error:
        raise UserError(f"--options: {error}", 2) from error
