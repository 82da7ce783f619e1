# Airflow 3: the verbs of the tutorial's steps, and the Pythons that it runs on.

PYTHON_MIN := 3.10
PYTHON_MAX := 3.14
DAGS_FOLDER := dags
BAD_IN_PATH :=

MAKE_CONFIG := airflow config get-value core dags_folder
INITDB      := airflow db migrate
READ_DAGS   := "Store the DAGs in the metadata database" bin/sandbox libexec/store-dags
# A DAG that no file has any more stays listed, with is_stale=True: its DAG runs are still there.
LIST_DAGS   := airflow dags list --columns dag_id,fileloc,is_paused,is_stale
LIST_TASKS  := airflow tasks list "$$DAG"
CLEAR       :=
BACKFILL    := bin/backfill "$$DAG"
# For Postgres and Celery. Workers on other machines get the address to report to from make backfill.
EXTRAS      := editions/3/scale.txt
CELERY      := $(if $(filter celery,$(EXECUTOR)),--workers "$$WORKERS" $(if $(LISTEN),--listen "$$LISTEN:$$PORT"))
# The first request to the execution API, which the tasks talk to, takes it some seconds; so it is
# asked before there are tasks. A log server would listen to the whole network. An exercise begins by deleting its DAG;
# a DAG processor that is just storing that ends, and is started again.
UI = AIRFLOW__API__BASE_URL=http://127.0.0.1:$$PORT \
      AIRFLOW__CORE__EXECUTION_API_SERVER_URL=http://127.0.0.1:$$PORT/execution/ \
      libexec/ui --warm $(if $(EXERCISE),--restarts 20) --port $$PORT --health /execution/health --health /api/v2/monitor/health \
      --server "airflow api-server --host 127.0.0.1 --port $$PORT --workers 1" \
      --server "airflow scheduler --skip-serve-logs" --server "airflow dag-processor" \
      --server "airflow triggerer --skip-serve-logs" --page $(if $(EXERCISE),"the list of DAGs" dags,"$$DAG" dags/"$$DAG") $(CELERY)

LOCKS        := editions/3/requirements editions/3/scale tests/tools
LOCK_OPTIONS := --python-version $(PYTHON_MIN)

VERIFY := tests/test_end_to_end.py tests/test_control.py tests/test_dag.py tests/test_sandbox.py
# The rest takes several hosts, other servers, a browser, or many minutes: .ci/run runs it.
TESTS  := $(addprefix --ignore=tests/test_,browser.py celery.py exercises.py hosts.py long_targets.py machine.py \
            postgres.py shapes.py watch.py)

# Later files have the last word. (macOS can't fork safely.)
SETTINGS := editions/3/settings.cfg $(if $(wildcard /proc/self/stat),editions/3/settings-linux.cfg) \
            $(if $(filter celery,$(EXECUTOR)),editions/3/settings-celery.cfg)
