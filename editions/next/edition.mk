# The Airflow that comes after edition 3: its newest pre-release, with the commands and the settings of
# edition 3. So what will break is known before it is released, and when it is, its lock becomes edition 3's.

include editions/3/edition.mk

GENERATION := 3
PYTHON_MIN := 3.11

# Not for Postgres and Celery.
EXTRAS :=
CELERY :=

LOCKS        := editions/next/requirements
LOCK_OPTIONS := --python-version $(PYTHON_MIN) --overrides editions/next/overrides.in

VERIFY := tests/test_end_to_end.py tests/test_control.py
TESTS  := $(VERIFY) $(patsubst %,tests/test_%.py,next private shapes) \
          tests/test_edited_dag.py::test_broken_files_are_named_with_their_lines_and_other_dags_run
