"""What to type against a failure whose message does not say it (Python 3.7)."""

import re
import shlex
from importlib.util import find_spec

from airflow_sandbox.commands import make_command, sandbox_command

# What a message says, and what helps. {name} is the name that is in it.
HINTS = {
    r"No module named '([\w.]+)'": "add {package} (or the package that has it) to"
    " my-requirements.txt, then: {make_env}",
    r"conn_id `(.+?)` isn't defined": "write AIRFLOW_CONN_{NAME}=TYPE://USER:PASSWORD@HOST to .env,"
    " or type: {airflow} connections add {name} --conn-uri TYPE://USER:PASSWORD@HOST",
    r"Variable (\S+) (?:not found|does not exist)": "write AIRFLOW_VAR_{NAME}=VALUE to .env,"
    " or type: {airflow} variables set {name} VALUE",
    r"(\S+) has a non-periodic schedule": "to run it once: {airflow} dags test {name}",
    r"(unrecognized arguments): ": "the options are: {airflow} backfill create -h",
}


def hint(text, before=""):
    """Return what helps against the failure that a text tells of, after a separator, or ''."""
    for pattern, words in HINTS.items():
        for name in reversed(re.findall(pattern, text)):
            # A name of Airflow's providers is that of a package; of others, the first part is.
            package = name.replace("airflow.providers.", "apache-airflow-providers-").split(".")[0]
            if words.startswith("add") and find_spec(package):
                continue  # the package is there, and has no such module
            commands = {"airflow": sandbox_command("airflow"), "make_env": make_command("env")}
            names = {"name": shlex.quote(name), "NAME": name.upper(), "package": package}
            return before + words.format(**names, **commands)
    return ""
