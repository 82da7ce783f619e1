"""Run by every Python of the sandbox as it starts (bin/sandbox puts this folder on PYTHONPATH).

Loading Airflow makes a great many objects that live as long as the process. With Python's defaults,
the garbage collector walks through them over and over while they are being loaded. If it starts
later, the api-server is ready a fifth sooner. As a process ends, the collector searches them once
more. Without that, `airflow dags list` takes a quarter less.

Python searches the folder of a script before its own modules, so all that needs http would import
dags/http.py, a DAG of yours. Here that folder comes last, as it does in Airflow.
"""

import atexit
import gc
import os
import sys

FIRST = sys.path[0]


class ScriptsFolderLast:
    @staticmethod
    def find_spec(_name, _path=None, _target=None):
        if sys.path[0] != FIRST:  # this is the first import after Python has put a folder there
            sys.meta_path = [each for each in sys.meta_path if each is not ScriptsFolderLast]
            script = os.path.realpath(sys.argv[0])  # but with -m and -c there is none
            if sys.path[0] == os.path.dirname(script) and os.path.isfile(script):
                sys.path.append(sys.path.pop(0))


sys.meta_path.insert(0, ScriptsFolderLast)
gc.set_threshold(100_000, 50, 1000)
atexit.register(gc.freeze)
