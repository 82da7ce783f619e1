"""Run by every Python of the sandbox as it starts (bin/sandbox puts this folder on PYTHONPATH).

Loading Airflow makes a great many objects that live as long as the process. With Python's
defaults, the garbage collector walks through them over and over while they are being loaded;
told to begin later, the api-server is ready a fifth sooner (bench/README.md has the figures).
"""

import gc

gc.set_threshold(100_000, 50, 1000)
