# Airflow Sandbox: the Airflow tutorial of 2019, to be run. Read it from the top: one target a step.
#
#   make all       from a clone to the last line of the tutorial, and to its results
#   make verify    the proof that it works, in two minutes
#   make help      every target and variable
#
# libexec/step prints a command, runs it, and says how long that took. bin/sandbox runs a command in
# the environment of the edition. A file NAME.done marks a finished step. When the step's inputs change,
# libexec/repair-state voids it, and the step runs again. Airflow's own commands, such as $(INITDB), are
# in editions/3/edition.mk.
$(if $(wildcard libexec/*),,$(error this folder is not the checkout; type: make -C \
    '$(strip $(subst /Makefile,,$(MAKEFILE_LIST)))'))
include libexec/plumbing.mk

### The tutorial, step by step

## all : everything below, from the environment to the results
all: SINCE := --since $(STATE)/backfill.began
all: prerequisites env config initdb list-dags list-tasks backfill results
	@echo "   next: make report, or make ui; for everything else: make help"

## env : the environment: a Python from conda or in a venv, and the locked packages
env: begin $(PACKAGES)
	@echo "   environment: $(BASE)/env"
$(BASE)/env.done:
	@libexec/refuse-beside-ui $(BASE) $(BASE)-*
	@libexec/step "Make the environment" libexec/make-env $(BASE)/env $(LOCK)
	@rm -f $(BASE)-*/extras.done
	@{ cat $(@:done=now) && pwd -P && echo "ENV_MANAGER=$$ENV_MANAGER CONDA=$$CONDA PYTHON=$$PYTHON"; } > $@
$(STATE)/extras.done: | $(BASE)/env.done
	@libexec/step "Add the packages for Postgres and Celery" libexec/add-packages $(BASE)/env $(EXTRAS)
	@cp $(@:done=now) $@

## config : airflow.cfg as Airflow makes it, with our dags_folder and a few more settings
config: begin $(STATE)/config.done
	@echo "   configuration: $(STATE)/airflow/airflow.cfg"
$(STATE)/config.done: | $(PACKAGES)
	@libexec/refuse-beside-ui $(STATE)
	@libexec/step "Let Airflow make its airflow.cfg" bin/sandbox $(MAKE_CONFIG)
	@libexec/step "Set dags_folder in it, and more" bin/sandbox libexec/set-config \
	    $(STATE)/airflow/airflow.cfg $(SECRETS:%=--secret %) \
	    core.dags_folder="$$(pwd -P)/$(DAGS)" $(SETTINGS)
	@{ cat $(@:done=now) && grep '^\[' $(STATE)/airflow/airflow.cfg; } > $@

## initdb : the metadata database, where Airflow keeps what it knows
initdb: begin $(STATE)/initdb.done
	@echo "   metadata database: $(if $(filter postgres,$(DB)),$(if $(DB_URL),that of DB_URL,$(STATE)/airflow/postgres),$(STATE)/airflow/airflow.db)"
$(STATE)/initdb.done: | $(STATE)/config.done
	@libexec/refuse-beside-ui $(STATE)
	$(if $(filter postgres,$(DB)),@libexec/step "Prepare Postgres" bin/sandbox libexec/prepare-postgres)
	@libexec/step "Set up the metadata database" bin/sandbox $(INITDB)
	@cp $(@:done=now) $@

# Airflow 3 runs a DAG as it stands in the database; the older ones read the file each time.
$(STATE)/dags.done: | $(STATE)/initdb.done
	$(if $(filter dag_test,$(DAG)),@libexec/step "Create the DAG" bin/sandbox python $(DAGS)/dag_example.py)
	@libexec/step $(READ_DAGS)
	@cp $(@:done=now) $@

## list-dags : the DAGs that Airflow knows
list-dags: begin $(STATE)/dags.done
	@libexec/step "List the DAGs" bin/sandbox $(LIST_DAGS)

## list-tasks : the tasks of a DAG
list-tasks: begin $(STATE)/dags.done
	@libexec/check-dag $(STATE)
	@libexec/step "List the tasks of $$DAG" bin/sandbox $(LIST_TASKS)

## backfill : run the DAG for a day, or for each day of a range, and watch it
backfill: begin $(STATE)/dags.done
	@libexec/check-dag $(STATE)
	@touch $(STATE)/backfill.began
	$(if $(CLEAR),@libexec/step "Clear earlier runs of these days" \
	    bin/sandbox $(CLEAR) -s "$$START" -e "$$END")
	@libexec/step "Run a backfill of $$DAG" bin/sandbox $(BACKFILL) -s "$$START" -e "$$END" \
	    $(if $(MAX_ACTIVE_RUNS),--max-active-runs "$$MAX_ACTIVE_RUNS") $(CELERY) $(if $(OPTIONS),--options "$$OPTIONS")
	@[ "$$DAG" != dag_test ] || echo "   results: $(RESULTS)/$$EDITION, a folder for each day"

## results : the results as a table, and where the picture is
results: begin $(PACKAGES) $(NO_RESULTS)
	$(if $(filter dag_test,$(DAG)),@libexec/step "Show the results" bin/sandbox python \
	    pipeline/print_results.py $(SINCE) "$(RESULTS)/$$EDITION/$$END",\
	    @echo "   what the tasks of $$DAG print is in $(STATE)/airflow/logs/dag_id=$$DAG")

### After the tutorial

## report : everything about a run on one page, results/EDITION/DATE/report.html
report: begin $(PACKAGES) $(NO_RESULTS)
	@libexec/step "Write the report" bin/sandbox python pipeline/make_report.py "$(RESULTS)/$$EDITION/$$END"

## ui : Airflow's web pages, for this machine only, until Ctrl-C or make stop
ui: CHECK := ui
ui: begin $(STATE)/dags.done
	@libexec/check-dag $(STATE)
	@rm -f .sandbox/last-make # give up the lock, so that make backfill can run beside this
	@exec libexec/step "Serve Airflow's web pages" bin/sandbox $(UI) 9> >(libexec/open-browser)

## stop : end the web pages
stop:
	@if [ -e $(STATE)/airflow/ui.processes ]; then bin/sandbox libexec/ui --stop; \
	else echo "   nothing is being served"; fi

## worker : run tasks of another machine's make backfill EXECUTOR=celery, until Ctrl-C
worker: CHECK := worker
worker: begin $(STATE)/config.done
	@rm -f .sandbox/last-make # give up the lock, as this goes on
	@exec libexec/step "Work for another machine" bin/sandbox libexec/worker

## exercises : small DAGs to predict and to mend: the list, and which ones you have passed
exercises: CHECK := exercises
exercises: begin $(PACKAGES)
	@bin/sandbox libexec/exercise --list

## exercise : one of them: make exercise N=1 prints its page, and from then on runs it
exercise: CHECK := exercise
exercise: begin $(STATE)/config.done
	@libexec/step "Exercise $$N" bin/sandbox libexec/exercise "$$N" \
	    $(if $(filter 1,$(RESET)),--reset) $(if $(filter 1,$(SOLUTION)),--solution)

### The proof

## verify : the proof, in two minutes: the line, the numbers, and a broken DAG
verify: test-env
	@$(call PYTEST,"Verify edition $(EDITION)",-v -n 2) $(VERIFY) || { \
	    echo "verify: some tests failed, which are named above. To run the DAG alone and see why it" \
	    "fails: make all $(THIS). What a message means: docs/troubleshooting.md" >&2; exit 1; }

## test : all tests, faults included, for those who change the kit
test: test-env
	@$(MAKE) --no-print-directory tools $(FOR_TESTS)
	@$(MAKE) --no-print-directory env EDITION=3 EXECUTOR=celery PYTHON=
	@$(call PYTEST,"Test edition $(EDITION)",-n 4) $(TESTS)

## test-all : the same for every edition
test-all:
	@for edition in $(notdir $(wildcard editions/*)); do \
	    $(MAKE) --no-print-directory test EDITION=$$edition || exit; done

## lint : the linters
lint:
	@$(MAKE) --no-print-directory tools $(FOR_TESTS)
	@$(call PYTEST,"Lint",-q) tests/test_style.py

## screenshots : renew the README's pictures of the web pages, in docs/
screenshots: tools
	@libexec/step "Take pictures" bin/sandbox python -m pytest tests/test_browser.py --screenshots docs

## bench : how fast it is, against the same steps typed by hand
bench: begin $(STATE)/dags.done
	@rm -f .sandbox/last-make # give up the lock, as this measures other makes
	@libexec/step "Measure" bin/sandbox python bench/bench.py "$$ROUNDS" "$$START" "$$END"

### Care

## doctor : check the prerequisites, and print how to install what is missing
doctor:
	@bin/doctor

## lock : renew the locked versions of all packages
lock: begin $(if $(wildcard $(BASE)/env/bin/python),,$(BASE)/env.done)
	@libexec/step "Renew the lock" libexec/make-lock $(LOCKS) $(LOCK_OPTIONS)

## clean : remove the DAG runs, their results, and Airflow's state; keep the environment
clean: begin
	@libexec/refuse-beside-ui $(STATE)
	@libexec/remove-results results/$(EDITION)
	rm -rf $(STATE)/airflow $(STATE)/exercises $(STATE)/{config,initdb,dags}.{done,outdated}

## distclean : remove everything that the kit has made
distclean: begin
	@libexec/refuse-beside-ui .sandbox/*
	@libexec/remove-results results/*
	rm -rf .sandbox .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
