"""What to type against a failure whose message does not say it (Python 3.7)."""

import os
import re
import shlex
from importlib.util import find_spec
from pathlib import Path

from airflow_sandbox.commands import make_command, sandbox_command
from airflow_sandbox.paths import dags_folder, shown

# The rules AIR30 are those of Airflow's guide "Upgrading to Airflow 3".
FIND_RENAMED = ["uvx", "ruff", "check", "--select", "AIR30"]
RENAMED = "if Airflow 2 had it, this says what to write for Airflow 3: {ruff}"
# What a message says, and what helps. {name} is the name that is in it.
HINTS = {
    r"No module named '(airflow\.(?!providers)[\w.]+)'": RENAMED,
    r"cannot import name '(\w+)' from 'airflow": RENAMED,
    r"DAG\.__init__\(\) got an unexpected keyword argument '(\w+)'": RENAMED,
    r"'((?:next_|prev_)?execution_date)' is undefined": "Airflow 3 has logical_date,"
    " data_interval_start and data_interval_end instead",
    r"No module named '([\w.]+)'": "add {package} (or the package that has it) to"
    " my-requirements.txt, then: {make_env}",
    r"conn_id `(.+?)` isn't defined": "write AIRFLOW_CONN_{NAME}=TYPE://USER:PASSWORD@HOST to .env"
    ", or type: {airflow} connections add {name} --conn-uri TYPE://USER:PASSWORD@HOST",
    r"Variable (\S+) (?:not found|does not exist)": "write AIRFLOW_VAR_{NAME}=VALUE to .env"
    ", or type: {airflow} variables set {name} VALUE",
    r"(\S+) has a non-periodic schedule": "to run it once: {airflow} dags test {name}",
    r"(unrecognized arguments): ": "the options are: {airflow} backfill create -h",
}


def hint(text, before=""):
    """Return what helps against the failure that a text tells of, after a separator, or ''."""
    for pattern, words in HINTS.items():
        if "Airflow 3" in words and os.environ.get("GENERATION") != "3":
            continue
        for name in reversed(re.findall(pattern, text)):
            # A name of Airflow's providers is that of a package; of others, the first part is.
            package = name.replace("airflow.providers.", "apache-airflow-providers-").split(".")[0]
            if words.startswith("add") and find_spec(package):
                continue  # the package is there, and has no such module
            commands = {"airflow": sandbox_command("airflow"), "make_env": make_command("env")}
            if words is RENAMED:
                dags = shown(dags_folder(Path(os.environ["AIRFLOW_HOME"])))
                commands["ruff"] = sandbox_command(*FIND_RENAMED, dags)
            if os.environ.get("AIRFLOW_HOME", "").endswith("-tests/airflow"):
                words = words.partition(", or type: ")[0]  # their database begins empty each time
            names = {"name": shlex.quote(name), "NAME": name.upper(), "package": package}
            return before + words.format(**names, **commands)
    return ""
