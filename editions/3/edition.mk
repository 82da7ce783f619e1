# Airflow 3: the verbs of the tutorial's steps, the Pythons that it runs on, and the settings
# that this tutorial changes in its airflow.cfg.

PYTHON_MIN := 3.10
PYTHON_MAX := 3.14
DAGS       := dags
BAD_IN_PATH :=

MAKE_CONFIG := airflow config get-value core dags_folder
INITDB      := airflow db migrate
READ_DAGS   := "Store the DAGs in the metadata database" bin/sandbox libexec/store-dags
# What the files have: without --local it also lists what they once had.
LIST_DAGS   := airflow dags list --local
LIST_TASKS  := airflow tasks list "$$DAG"
CLEAR       :=
BACKFILL    := bin/backfill "$$DAG"
# For Postgres and Celery. Workers on other machines are told where to report to by make backfill.
EXTRAS   := editions/3/scale.txt
CELERY      := $(if $(filter celery,$(EXECUTOR)),--workers "$$WORKERS" $(if $(LISTEN),--listen "$$LISTEN:$$PORT"))
# The first request to the execution API, which the tasks talk to, takes it some seconds; so it is
# asked before there are tasks. A log server would listen to the whole network.
UI := AIRFLOW__API__BASE_URL=http://127.0.0.1:$$PORT \
      AIRFLOW__CORE__EXECUTION_API_SERVER_URL=http://127.0.0.1:$$PORT/execution/ \
      libexec/ui --address-fd 9 --port $$PORT --health /execution/health --health /api/v2/monitor/health \
      --server "airflow api-server --host 127.0.0.1 --port $$PORT --workers 1" \
      --server "airflow scheduler --skip-serve-logs" --server "airflow dag-processor" \
      --server "airflow triggerer --skip-serve-logs" --page "$$DAG" dags/"$$DAG" $(CELERY)

LOCKS        := editions/3/requirements editions/3/scale tests/tools
LOCK_OPTIONS := --python-version 3.10

VERIFY := tests/test_end_to_end.py tests/test_control.py tests/test_dag.py tests/test_sandbox.py
# The tests of the pages in a browser are run by make screenshots, which one of the others runs.
TESTS  := --ignore=tests/test_browser.py

# 64 bytes or more, so that Airflow does not warn of a weak key.
SECRETS  := api_auth.jwt_secret
# A DAG is stored whenever its file has changed: Airflow's own limit is once in 30 seconds, and it says
# nothing of what it left out. Quiet commands, but tasks that log what they print: what a command
# prints is logged by airflow.task, and Python's print() by task. Servers for this
# machine alone, without the pages that have a CDN's scripts read the API's description. As the
# machine is small, fewer workers than the 32 of the default, which look around more often. On Linux
# they are forked, on Python 3.14, too: then they need not load Airflow again, nor have a socket in
# TMPDIR, whose path is too long in a deep folder. (macOS can't fork safely.) A DAG that is not there now
# will not be there in a minute: no file is on its way from another machine.
SETTINGS  = core.load_examples=False \
            core.min_serialized_dag_update_interval=0 \
            core.parallelism=$(if $(filter celery,$(EXECUTOR)),32,8) \
            logging.logging_level=WARNING \
            logging.namespace_levels=airflow.task=INFO,task=INFO \
            api.host=127.0.0.1 \
            api.enable_swagger_ui=False \
            workers.min_heartbeat_interval=1 \
            workers.missing_dag_retries=0 \
            scheduler.scheduler_idle_sleep_time=0.2 \
            $(if $(filter Linux,$(shell uname -s)),scheduler.mp_start_method=fork)
# With Celery, a task instance can be lost with its machine, so it is tried again, and every limit is a
# matter of the two clocks below. A worker that is cut off ends its tasks after 60 s without an answer
# of the API: task_instance_heartbeat_timeout is well above, so that no task runs twice at a time.
# visibility_timeout: what a lost worker had taken from the broker and not begun is given to another one. That
# is safe: a task instance that has begun is refused a second time. task_queued_timeout is also the life
# of the token that a task reports with, and three of it are the end of a task, whatever its retries.
SETTINGS += $(if $(filter celery,$(EXECUTOR)),\
            core.executor=CeleryExecutor \
            core.default_task_retries=2 \
            core.default_task_retry_delay=10 \
            scheduler.task_instance_heartbeat_timeout=120 \
            scheduler.task_queued_timeout=600 \
            scheduler.task_queued_timeout_check_interval=30 \
            celery.task_acks_late=True \
            celery_broker_transport_options.visibility_timeout=60)
