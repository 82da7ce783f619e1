"""Run by every command of Airflow's as it starts (documented: "Configuring local settings").

Airflow switches on all pending deprecations of its own modules. This one, of Python 3.14, is of
Airflow's own command line, is for its authors, and would stand two lines long above each answer.
"""

import warnings

warnings.filterwarnings(
    "ignore", message="FileType is deprecated", category=PendingDeprecationWarning
)
