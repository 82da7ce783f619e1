# Airflow Sandbox: the Airflow tutorial of 2019, to be run. Read it from the top: one target a step.
#
#   make all       from a clone to the last line of the tutorial, and to its results
#   make verify    the proof that it works, in two minutes
#   make help      every target and variable
#
# libexec/step prints a command, runs it, and says how long that took. bin/sandbox runs a command in
# the environment of the edition. A file NAME.done marks a finished step. When the step's inputs change,
# it runs again. Airflow's own commands, such as $(INITDB), are in editions/3/edition.mk.
$(if $(wildcard libexec/*),,$(error this folder is not the checkout; type: make -C \
    '$(strip $(subst /Makefile,,$(MAKEFILE_LIST)))'))
include libexec/plumbing.mk

### The tutorial, step by step

## all : everything below, from the environment to the results
all: prerequisites env config initdb list-dags list-tasks backfill results
	@. libexec/installation.sh; echo "   next: $(if $(filter-out dag_test,$(DAG)),make ui DAG=$$DAG,make \
	    report$$given$$variables, or make ui)$$variables; for everything else: make help"

## env : make the environment: a Python with the locked packages
env: begin $(PACKAGES)
	@echo "   environment: $(BASE)/env"
$(BASE)/env.done:
	@libexec/refuse-beside-ui $(BASE) $(BASE)-*
	@rm -f $(BASE)-*/extras.done
	@libexec/step "Make the environment" libexec/make-env $(BASE)/env $(LOCK)
	@{ echo "ENV_MANAGER=$$ENV_MANAGER CONDA=$$CONDA PYTHON=$$PYTHON" && pwd -P; } > $@
$(STATE)/extras.done: | $(BASE)/env.done
	@rm -f $@
	@libexec/step "Add the packages for Postgres and Celery" libexec/make-env --add $(BASE)/env $(EXTRAS)
	@touch $@

## config : let Airflow make airflow.cfg, and set a few options in it
config: begin $(STATE)/config.done
	@echo "   configuration: $(STATE)/airflow/airflow.cfg"
# A dags_folder that you have chosen stays; that of the checkout which this one is a copy of does not.
$(STATE)/config.done: | $(PACKAGES)
	@libexec/refuse-beside-ui $(STATE)
	@$(QUIETLY) libexec/step "Let Airflow make its airflow.cfg" bin/sandbox $(MAKE_CONFIG)
	@set -- core.dags_folder="$$(pwd -P)/$(DAGS_FOLDER)"; \
	folder=$$(sed -n 's/%%/%/g; s/^dags_folder *= *//p' $(STATE)/airflow/airflow.cfg); \
	[ ! -d "$$folder" ] || [ -e "$${folder%$(DAGS_FOLDER)}libexec/set-config" ] || set --; \
	$(QUIETLY) libexec/step "Set dags_folder in it, and more" bin/sandbox libexec/set-config \
	    $(STATE)/airflow/airflow.cfg "$$@" $(SETTINGS)
	@grep '^\[' $(STATE)/airflow/airflow.cfg > $@

## initdb : create the metadata database
initdb: begin $(STATE)/initdb.done
	@echo "   metadata database: $(if $(filter postgres,$(DB)),$(if $(DB_URL),that of DB_URL,$(STATE)/airflow/postgres),$(STATE)/airflow/airflow.db)"
$(STATE)/initdb.done: | $(STATE)/config.done
	@libexec/refuse-beside-ui $(STATE)
	$(if $(filter postgres,$(DB)),@libexec/step "Prepare Postgres" bin/sandbox libexec/prepare-postgres)
	$(if $(FRESH),@rm -f $(STATE)/airflow/airflow.db*)
	@$(QUIETLY) libexec/step "Set up the metadata database" bin/sandbox $(INITDB)
	$(if $(FRESH),@cp $(STATE)/airflow/airflow.db $(STATE)/empty.db)
	@touch $@

# Airflow 3 runs a DAG as it stands in the database; the older ones read the file each time.
$(STATE)/dags.done: | $(STATE)/initdb.done
	$(if $(filter dag_test,$(DAG)),@file="$${DAGS:-$(DAGS_FOLDER)}/dag_example.py"; [ ! -e "$$file" ] || \
	    libexec/step "Create the DAG" bin/sandbox python "$$file")
	@libexec/step $(READ_DAGS)
	@touch $@

## list-dags : list the DAGs that Airflow knows
list-dags: begin $(STATE)/dags.done
	@libexec/step "List the DAGs" bin/sandbox $(LIST_DAGS)

## list-tasks : list the tasks of a DAG
list-tasks: begin $(STATE)/dags.done
	@libexec/check-dag $(STATE)
	@libexec/step "List the tasks of $$DAG" bin/sandbox $(LIST_TASKS)

## backfill : run the DAG for a day or a range of days, and watch it
backfill: begin $(STATE)/dags.done
	@libexec/check-dag $(STATE)
	$(if $(filter dag_test,$(DAG)),@libexec/void-results "$(RESULTS)/$$EDITION")
	$(if $(CLEAR),@libexec/step "Clear earlier runs of these days" \
	    bin/sandbox $(CLEAR) -s "$$START" -e "$$END")
	@libexec/step "Run a backfill of $$DAG" bin/sandbox $(BACKFILL) -s "$$START" -e "$$END" \
	    $(if $(MAX_ACTIVE_RUNS),--max-active-runs "$$MAX_ACTIVE_RUNS") $(CELERY) $(if $(OPTIONS),--options "$$OPTIONS")
	@. libexec/installation.sh; if [ "$$DAG" = dag_test ]; then echo "   results: $(RESULTS)/$$EDITION, a folder for each day"; \
	elif [ "$$GENERATION" = 3 ]; then \
	    echo "   what the tasks printed: make logs DAG=$$(quoted "$$DAG")$$variables (the files: $(LOGS)/dag_id=$$DAG)"; fi

## results : show the results as a table, and name the picture
results: begin $(PACKAGES) $(NO_RESULTS)
	$(if $(filter dag_test,$(DAG)),@libexec/step "Show the results" bin/sandbox python \
	    pipeline/print_results.py $(if $(filter $(START),$(END)),,--first "$$START") "$(RESULTS)/$$EDITION/$$END",\
	    @. libexec/installation.sh; for logs in $(LOGS)/{dag_id=,}"$$DAG"; do if [ -d "$$logs" ]; then \
	    echo "   what the tasks of $$DAG print is in $$logs$(if $(filter 3,$(GENERATION)),; to see it: make logs$$given$$variables)"; exit; fi; done; \
	    echo "   no task of $$DAG has run; to run it: make backfill$$given$$variables")

### After the tutorial

## report : write results/EDITION/DATE/report.html, all about a run
report: begin $(PACKAGES) $(NO_RESULTS)
	@libexec/step "Write the report" bin/sandbox python pipeline/make_report.py "$(RESULTS)/$$EDITION/$$END"

## ui : start the Airflow UI on localhost, until make stop
ui: begin $(if $(EXERCISE),$(STATE)/initdb.done,$(STATE)/dags.done)
	$(if $(EXERCISE),,@libexec/check-dag $(STATE))
	@rm -f .sandbox/last-make # give up the lock, so that make backfill can run beside this
	@exec libexec/step "Serve the Airflow UI" bin/sandbox $(UI)

## stop : end the Airflow UI
stop:
	@if [ -e $(STATE)/airflow/ui.processes ]; then bin/sandbox libexec/ui --stop; \
	else echo "   the Airflow UI is not running"; fi

## worker : start a Celery worker that joins a backfill elsewhere
worker: begin $(STATE)/config.done
	@rm -f .sandbox/last-make # give up the lock, as this goes on
	@exec libexec/step "Work for another machine" bin/sandbox libexec/worker

## new-dag : write a small DAG, and its tests: make new-dag NAME=sales
new-dag: begin $(STATE)/dags.done
	@libexec/step "Write a DAG" bin/sandbox libexec/new-dag "$$NAME"

## logs : show what the tasks of a DAG printed, newest run first
logs: preflight # without a lock: tasks may be running
	@libexec/check-input logs
	@bin/sandbox libexec/show-logs "$$DAG" $(if $(filter DATE START END,$(SANDBOX_GIVEN)),--days "$$START" "$$END") $(if $(TASK),--task "$$TASK")

## exercises : list the exercises and your progress
exercises: begin $(PACKAGES)
	@bin/sandbox libexec/exercise

## exercise : show exercise N, or the next one; later, run and check it
exercise: begin $(STATE)/initdb.done
	@export DAG=DAG; libexec/step "Exercise$${N:+ $$N}" bin/sandbox libexec/exercise "$${N:-0}" \
	    $(if $(filter 1,$(RESET)),--reset) $(if $(filter 1,$(SOLUTION)),--solution) \
	    --read $(lastword $(READ_DAGS)) --backfill $(BACKFILL)

## watch : run exercise N, or a DAG, each time you save it
watch: begin $(if $(EXERCISE),$(STATE)/initdb.done,$(STATE)/dags.done)
	$(if $(EXERCISE),,@libexec/check-dag $(STATE))
	@rm -f .sandbox/last-make # give up the lock, as this goes on
	@$(if $(EXERCISE),export DAG=DAG;) exec bin/sandbox libexec/watch $(if $(EXERCISE),--exercise "$$N") --ui $(UI) -- \
	    $(if $(EXERCISE),libexec/exercise N --read $(lastword $(READ_DAGS)) --backfill $(BACKFILL),env START="$$START" END="$$END" DAG="$$DAG" \
	    bash -c '$(lastword $(READ_DAGS)) && libexec/check-dag $(STATE) && $(BACKFILL) -s "$$START" -e "$$END"')

### The proof

## verify : prove that it works in two minutes; DAG=sales: its tests
verify: $(if $(TESTED),begin $(STATE)/initdb.done,test-env)
	@$(PROOF) $(if $(JUNIT),--junitxml="$$JUNIT") || { [ $$? -ne 1 ] || { . libexec/installation.sh; \
	    echo "verify: some tests failed, which are named above. $(ADVICE)" >&2; }; exit 1; }
	@echo "   verified: $(PROVED)"

## test : run all tests, for those who change the kit
test: test-env
	@$(MAKE) --no-print-directory tools $(FOR_TESTS)
	@$(MAKE) --no-print-directory env EDITION=3 EXECUTOR=celery PYTHON=
	@$(call PYTEST,"Test edition $(EDITION)",-n 4) $(TESTS)

## test-all : run all tests for each edition
test-all:
	@for edition in $(notdir $(wildcard editions/*)); do \
	    $(MAKE) --no-print-directory test EDITION=$$edition || exit; done

## lint : run the linters
lint:
	@$(MAKE) --no-print-directory tools $(FOR_TESTS)
	@$(call PYTEST,"Lint",-q) tests/test_style.py

## screenshots : renew the README's pictures of the Airflow UI, in docs/
screenshots: tools
	@libexec/step "Take pictures" bin/sandbox python -m pytest tests/test_browser.py --screenshots docs

## bench : measure how fast it is, against the steps typed by hand
bench: begin $(STATE)/dags.done
	@rm -f .sandbox/last-make # give up the lock, as this measures other makes
	@libexec/step "Measure" bin/sandbox python bench/bench.py "$$ROUNDS" "$$START" "$$END"

### Care

## doctor : check the prerequisites, and say how to install them
doctor:
	@bin/doctor

## lock : renew the locked versions of all packages
lock: begin $(if $(wildcard $(BASE)/env/bin/python),,$(BASE)/env.done)
	@libexec/step "Renew the lock" libexec/make-lock $(LOCKS) $(LOCK_OPTIONS)

## clean : remove runs, results and state; keep the environment
clean: claim
	@libexec/refuse-beside-ui $(STATE) $(STATE)-exercises $(STATE)-tests
	@libexec/remove-results results/$(EDITION)
	$(call REMOVE,$(STATE)/airflow $(STATE)-exercises $(STATE)-tests $(addprefix $(STATE)/,config.done initdb.done dags.done))

## distclean : remove everything that the kit has made
distclean: claim
	@libexec/refuse-beside-ui .sandbox/*
	@libexec/remove-results results/*
	$(call REMOVE,.sandbox .pytest_cache .ruff_cache)
	find . -name __pycache__ -prune -exec rm -rf {} +
