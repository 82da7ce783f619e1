"""Options that come in one word, as make's variable OPTIONS has them (Python 3.7)."""

import shlex


def spread(words):
    """Return a command's words with those of an `--options "WORD ..."` in its place.

    Raises ValueError if a quote in there is not closed.
    """
    if "--options" not in words[:-1]:
        return list(words)
    at = words.index("--options")
    return [*words[:at], *shlex.split(words[at + 1]), *words[at + 2 :]]
