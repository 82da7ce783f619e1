"""Options that come in one word, as make's variable OPTIONS has them (Python 3.7)."""

import shlex

from airflow_sandbox.errors import UserError


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
