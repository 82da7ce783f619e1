"""Run by every Python of the sandbox as it starts (bin/sandbox puts this folder on PYTHONPATH).

Loading Airflow makes a great many objects that live as long as the process. With Python's defaults,
the garbage collector walks through them over and over while they are being loaded. If it starts
later, the api-server is ready a fifth sooner. As a process ends, the collector searches them once
more. Without that, `airflow dags list` takes a quarter less.
"""

import atexit
import gc

gc.set_threshold(100_000, 50, 1000)
atexit.register(gc.freeze)
