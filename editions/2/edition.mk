# Airflow 2.11, the last of its generation: its own `dags backfill` runs in the foreground and
# prints the line by itself.

PYTHON_MIN := 3.10
PYTHON_MAX := 3.12
DAGS_FOLDER := dags
# It reads its own default paths as if a % in them began an interpolation.
BAD_IN_PATH := %

MAKE_CONFIG := airflow config get-value core dags_folder
INITDB      := airflow db migrate
READ_DAGS   := "Check the DAG files" bin/sandbox libexec/store-dags
LIST_DAGS   := airflow dags list
LIST_TASKS  := airflow tasks list "$$DAG"
CLEAR       :=
EXTRAS      :=
CELERY      :=
# Without the reset, a day that has run before prints "succeeded: 3" and runs nothing.
BACKFILL    := libexec/supervise airflow dags backfill "$$DAG" --reset-dagruns --yes
UI := AIRFLOW__WEBSERVER__BASE_URL=http://127.0.0.1:$$PORT libexec/ui \
      --port $$PORT --health /health --new-user "airflow users create --username admin \
      --role Admin --firstname Sandbox --lastname Admin --email admin@localhost" \
      --server "airflow webserver --hostname 127.0.0.1 --port $$PORT --workers 1" \
      --server "airflow scheduler --skip-serve-logs" \
      --server "airflow triggerer --skip-serve-logs" --page "$$DAG" dags/"$$DAG"/grid

LOCKS        := editions/2/requirements editions/2/build-constraints
LOCK_OPTIONS := --python-version 3.10

# The other tests are of the kit, not of an edition; edition 3 has them run. What is said of this Airflow in
# tests/shapes and in the exercises changes with its lock alone, so the workflow tests that (CONTRIBUTING.md).
VERIFY := tests/test_end_to_end.py tests/test_control.py
TESTS  := $(VERIFY) tests/test_edited_dag.py tests/test_old_backfill.py tests/test_old_ui.py \
          tests/test_report.py tests/test_security.py

SETTINGS := editions/2/settings.cfg
