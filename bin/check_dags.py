#!/usr/bin/env python3
"""Read the DAG files as Airflow 1.10 and 2 do at each command, and say what is wrong with them.

Usage: bin/sandbox bin/check_dags.py

Prints a line for each file that can't be read, and for each DAG that two files define.
Exit codes: 0 each DAG has one file, even if some other file can't be read; 1 one has two.
"""

import ast
import logging
import sys

from airflow.configuration import conf
from airflow.models import DagBag
from dag_files import report


def main():
    """Check them; return the exit code."""
    logging.disable(logging.CRITICAL)  # what it logs about a file is in the bag, too
    folder = conf.get("core", "dags_folder")
    bag = DagBag(folder, include_examples=False)
    files_of = {}
    for stat in bag.dagbag_stats:
        for dag_id in ast.literal_eval(str(stat.dags)):
            files_of.setdefault(dag_id, set()).add(folder + stat.file)
    unread, twins = report(bag.import_errors.items(), files_of)
    for line in unread + twins:
        print("check_dags: " + line, file=sys.stderr)
    return 1 if twins else 0


if __name__ == "__main__":
    sys.exit(main())
