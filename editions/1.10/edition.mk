# Airflow 1.10, the generation of the tutorial, whose commands are these to the letter. It has had no
# security fix for years: to be read and learnt from, on this machine alone.

PYTHON_MIN := 3.7
PYTHON_MAX := 3.7
DAGS_FOLDER := editions/1.10/dags
# It reads its own default paths as if a % in them began an interpolation.
BAD_IN_PATH := %

MAKE_CONFIG := airflow version
INITDB      := airflow initdb
READ_DAGS   := "Check the DAG files" bin/sandbox libexec/store-dags
LIST_DAGS   := airflow list_dags
LIST_TASKS  := airflow list_tasks "$$DAG"
# A day that has run before is cleared first, or the backfill would find it done.
CLEAR       := airflow clear --no_confirm "$$DAG"
EXTRAS      :=
CELERY      :=
BACKFILL    := libexec/supervise airflow backfill "$$DAG"
# Without rbac, these pages let everybody in.
UI := AIRFLOW__WEBSERVER__RBAC=True AIRFLOW__WEBSERVER__BASE_URL=http://127.0.0.1:$$PORT \
      libexec/ui --port $$PORT --health /health \
      --new-user "airflow create_user --username admin --role Admin --firstname Sandbox \
      --lastname Admin --email admin@localhost" \
      --server "airflow webserver --hostname 127.0.0.1 --port $$PORT --workers 1" \
      --server "airflow scheduler" --page "$$DAG" "tree?dag_id=$$DAG"

LOCKS        := editions/1.10/requirements editions/1.10/build-constraints
LOCK_OPTIONS := --python-version 3.7.9 --exclude-newer 2021-04-15 \
                --exclude-newer-package formulaic=2023-12-31 \
                --exclude-newer-package interface-meta=2023-12-31 \
                --exclude-newer-package typing-extensions=2023-12-31

# The other tests are of the kit, not of an edition; edition 3 has them run.
VERIFY := tests/test_end_to_end.py tests/test_control.py
TESTS  := $(VERIFY) tests/test_edited_dag.py tests/test_old_backfill.py tests/test_old_ui.py \
          tests/test_report.py tests/test_security.py

SETTINGS := editions/1.10/settings.cfg
