"""What can be wrong with the files of a DAGs folder, in a line for each."""

import os
import re

# Airflow 2 and 3 keep this as the import error of the second file.
TWIN = re.compile(r"Ignoring DAG (.+) from (.+) - also found in (.+)")


def report(errors, files_of=None):
    """Return what is wrong as two lists of lines: files that can't be read, and DAGs that more
    than one file defines.

    errors: pairs of a file's path and what Airflow kept of its import error, mostly a traceback.
    files_of: {dag_id: a set of the paths of the files that define it}, as far as that is known.
    """
    files_of = files_of or {}
    unread = []
    for file, text in errors:
        found = TWIN.search(text)
        if found:
            dag_id, *files = found.groups()
            files_of.setdefault(dag_id, set()).update(files)
            continue
        lines = text.strip().splitlines() or ["it can't be read"]
        # The deepest place in the file itself; what it calls has its own places, further in.
        places = re.findall(rf'File "{re.escape(str(file))}", line (\d+)', text)
        place = os.path.relpath(file) + (f":{places[-1]}" if places else "")
        unread.append(f"{place}: {lines[-1].strip()}")
    twins = []
    for dag_id, files in sorted(files_of.items()):
        if len(files) > 1:
            named = " and ".join(sorted(map(os.path.relpath, files)))
            twins.append(
                f"two files define {dag_id}: {named}. Airflow takes the one or the other;"
                " give one of them another dag_id, or move it elsewhere"
            )
    return unread, twins
