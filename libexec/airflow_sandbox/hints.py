"""What to type against a failure whose message does not say it (Python 3.7)."""

import re
import shlex
from importlib.util import find_spec

from airflow_sandbox.commands import make_command, sandbox_command

# What a message says, and what helps. {0} is the name in it; {NAME} is that as a part of a variable.
HINTS = {
    r"No module named '([\w.]+)'": "add {package} (or the package that has it) to"
    " my-requirements.txt, then: {make_env}",
    r"conn_id `(.+?)` isn't defined": "to add it: {airflow} connections add {name} --conn-uri"
    " TYPE://USER:PASSWORD@HOST, or write AIRFLOW_CONN_{NAME}=TYPE://... to .env",
    r"Variable (\S+) (?:not found|does not exist)": "to set it: {airflow} variables set {name} VALUE,"
    " or write AIRFLOW_VAR_{NAME}=VALUE to .env",
    r"(\S+) has a non-periodic schedule": "to run it once: {airflow} dags test {name}",
    r"(cannot be run in reverse)": "leave out --run-backwards",
    r"(unrecognized arguments): ": "the options are: {airflow} backfill create -h",
}


def hint(text):
    """Return what helps against the failure that a text tells of, or an empty text."""
    for pattern, words in HINTS.items():
        for name in reversed(re.findall(pattern, text)):
            # A name of Airflow's providers is that of a package; of others, the first part is.
            package = name.replace("airflow.providers.", "apache-airflow-providers-")
            package = package.partition(".")[0]
            if words.startswith("add") and find_spec(package):
                continue  # the package is there, and has no such module
            return words.format(
                package=package,
                name=shlex.quote(name),
                NAME=name.upper(),
                airflow=sandbox_command("airflow"),
                make_env=make_command("env"),
            )
    return ""


def with_hint(text):
    """Return a message of one line, with what helps behind it."""
    return "; ".join(filter(None, [text, hint(text)]))
