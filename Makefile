# Airflow Sandbox: the Airflow tutorial of 2019, to be run. Read it from the top: one target a step.
#
#   make all       from a clone to the last line of the tutorial, and to its results
#   make verify    the proof that it works, in two minutes
#   make help      every target and variable

# What you may set, as in: make backfill START=2026-01-01 END=2026-01-22
#: which Airflow: 3 (the default), 2 or 1.10
EDITION ?= 3
#: the day to run, YYYY-MM-DD in UTC; today by default
DATE ?= $(TODAY)
#: the first day of a range; DATE by default
START ?= $(DATE)
#: the last day of a range; DATE by default
END ?= $(DATE)
#: conda, venv, or auto: conda where it can be had
ENV_MANAGER ?= auto
#: the conda, mamba or micromamba to use
CONDA ?=
#: the Python to make a venv from
PYTHON ?=
#: where to download the data from, if not from UCI
DATA_URL ?=
#: where make ui serves Airflow's web pages: http://127.0.0.1:PORT/
PORT ?= 8080
#: how often make bench measures
ROUNDS ?= 3
#: 1 shows all that Airflow logs, as it goes
V ?=

# Strict settings: a misspelt variable is reported, and a failing command stops the recipe.
MAKEFLAGS += --warn-undefined-variables --no-builtin-rules
SHELL := bash
.SHELLFLAGS := -p -eu -o pipefail -c
# Without your settings of shells and their tools, which may make these say or do anything.
unexport BASH_ENV SHELLOPTS BASHOPTS POSIXLY_CORRECT GREP_OPTIONS CDPATH $(filter BASH_FUNC_%,$(.VARIABLES))
# A locale that is not installed lets each shell complain; this one is part of every Linux.
ifneq ($(wildcard /proc/self/stat),)
export LC_ALL := C.UTF-8
endif
.DEFAULT_GOAL := help
.SUFFIXES:
.DELETE_ON_ERROR:
# The steps of a tutorial come one after the other, under make -j, too.
.NOTPARALLEL:

# A $ in a value would be make's to expand, and $(shell ...) would run: values are data.
VARIABLES := EDITION DATE START END ENV_MANAGER CONDA PYTHON DATA_URL PORT ROUNDS V
$(foreach name,$(VARIABLES),$(if $(filter command environment,$(firstword $(origin $(name)))),\
    $(if $(findstring $$,$(value $(name))),$(error $(name) has a dollar sign in it))))
# make takes any name, so a misspelt one (date=, EDTION=) would do nothing, and say nothing.
$(foreach name,$(filter-out $(VARIABLES) SHELL,$(.VARIABLES)),$(if $(filter command,$(firstword \
    $(origin $(name)))),$(error there is no variable $(name); make help lists them)))
$(if $(wildcard editions/*),,$(error this folder is not the checkout; type: make -C \
    '$(strip $(subst /Makefile,,$(MAKEFILE_LIST)))'))
# What differs from one Airflow to the next: its own commands, which the steps below run by name.
$(if $(filter $(wildcard editions/*/edition.mk),editions/$(EDITION)/edition.mk),,\
    $(error EDITION=$(EDITION) is not an edition; these are: $(notdir $(wildcard editions/*))))
include editions/$(EDITION)/edition.mk
THIS := $(firstword $(MAKEFILE_LIST))
TODAY := $(shell date -u +%F)
STATE := .sandbox/$(EDITION)
LOCK := editions/$(EDITION)/requirements.txt
export $(VARIABLES) PYTHON_MIN PYTHON_MAX BAD_IN_PATH

# How a step runs: bin/step announces a command and times it, bin/sandbox runs one in the
# edition's environment. A file NAME.done exists if, and only if, that step has succeeded with what
# stands here as it is now. Dates of files say nothing: a copy may have an old one, or one to come.
MADE_FROM := env: environment.yml $(LOCK) $(dir $(LOCK))build-constraints.txt bin/make-env \
    tools: tests/tools.txt config: editions/$(EDITION)/edition.mk bin/set_config.py initdb: dags: $(DAGS)

CHECK :=
SINCE :=
# Before all: can the kit work in a checkout like this?
check-place:
	@bash bin/check-place

# Before each: are the variables right, is no other make at work here, is what there is undamaged?
begin: check-place
	@bin/check-input $(CHECK)
	@bin/claim-checkout
	@bin/repair-state $(STATE) $(MADE_FROM)

### The tutorial, step by step

## all : everything below, from the environment to the results
all: SINCE := --since $(STATE)/backfill.began
all: ready env config initdb list-dags list-tasks backfill results
	@echo "   next: make report, or make ui; for everything else: make help"

## env : the environment: a Python from conda or in a venv, and the locked packages
env: begin $(STATE)/env.done
	@echo "   environment: $(STATE)/env"
$(STATE)/env.done:
	@bin/refuse-beside-ui $(STATE)
	@bin/step "Make the environment" bin/make-env $(STATE)/env $(LOCK)
	@{ cat $(@:done=now) && pwd -P && echo "ENV_MANAGER=$$ENV_MANAGER CONDA=$$CONDA PYTHON=$$PYTHON"; } > $@

## config : airflow.cfg as Airflow makes it, with our dags_folder and a few more settings
config: begin $(STATE)/config.done
	@echo "   configuration: $(STATE)/airflow/airflow.cfg"
$(STATE)/config.done: | $(STATE)/env.done
	@bin/refuse-beside-ui $(STATE)
	@bin/step "Let Airflow make its airflow.cfg" bin/sandbox $(MAKE_CONFIG)
	@bin/step "Set dags_folder in it, and more" bin/sandbox bin/set_config.py \
	    $(STATE)/airflow/airflow.cfg $(SECRETS:%=--secret %) \
	    core.dags_folder="$$(pwd -P)/$(DAGS)" $(SETTINGS)
	@{ cat $(@:done=now) && grep '^\[' $(STATE)/airflow/airflow.cfg; } > $@

## initdb : the metadata database, where Airflow keeps what it knows
initdb: begin $(STATE)/initdb.done
	@echo "   metadata database: $(STATE)/airflow/airflow.db"
$(STATE)/initdb.done: | $(STATE)/config.done
	@bin/refuse-beside-ui $(STATE)
	@bin/step "Set up the metadata database" bin/sandbox $(INITDB)
	@cp $(@:done=now) $@

# Airflow 3 runs a DAG as it stands in the database; the older ones read the file each time.
$(STATE)/dags.done: | $(STATE)/initdb.done
	@bin/step "Create the DAG" bin/sandbox python $(DAGS)/dag_example.py
	@bin/step $(READ_DAGS)
	@cp $(@:done=now) $@

## list-dags : the DAGs that Airflow knows
list-dags: begin $(STATE)/dags.done
	@bin/step "List the DAGs" bin/sandbox $(LIST_DAGS)

## list-tasks : the tasks of our DAG
list-tasks: begin $(STATE)/dags.done
	@bin/step "List the tasks of dag_test" bin/sandbox $(LIST_TASKS)

## backfill : run the DAG for a day, or for each day of a range, and watch it
backfill: begin $(STATE)/dags.done
	@touch $(STATE)/backfill.began
	$(if $(CLEAR),@bin/step "Clear earlier runs of these days" \
	    bin/sandbox $(CLEAR) -s "$$START" -e "$$END")
	@bin/step "Run a backfill of dag_test" bin/sandbox $(BACKFILL) -s "$$START" -e "$$END"
	@echo "   results: results/$$EDITION, a folder for each day"

## results : the results as a table, and where the picture is
results: begin $(STATE)/env.done $(if $(wildcard results/$(EDITION)/$(END)/results.csv),,backfill)
	@bin/step "Show the results" bin/sandbox python bin/show_results.py $(SINCE) "results/$$EDITION/$$END"

### After the tutorial

## report : all about a run on one page, results/EDITION/DATE/report.html
report: begin $(STATE)/env.done $(if $(wildcard results/$(EDITION)/$(END)/results.csv),,backfill)
	@bin/step "Write the report" bin/sandbox python bin/make_report.py "results/$$EDITION/$$END"

## ui : Airflow's web pages, for this machine alone, until Ctrl-C or make stop
ui: CHECK := ui
ui: begin $(STATE)/dags.done
	@rm -f .sandbox/last-make # other makes may work here meanwhile: see bin/claim-checkout
	@exec bin/step "Serve Airflow's web pages" bin/sandbox $(UI) 9> >(bin/open-browser)

## stop : end the web pages
stop:
	@if [ -e $(STATE)/airflow/ui.processes ]; then bin/sandbox bin/ui.py --stop; \
	else echo "   nothing is being served"; fi

### The proof

# The tests run in the environment of edition 3, side by side in so many processes, where they don't
# share a checkout. Each works in copies of this one, so yours stays as it is.
PYTEST = EDITION=3 bin/step $(1) bin/sandbox python -m pytest $(2) --dist=loadgroup --no-loadscope-reorder --edition $(EDITION)

## verify : the proof, in two minutes: the line, the numbers, and a broken DAG
verify: test-env
	@$(call PYTEST,"Verify edition $(EDITION)",-v -n 2) $(VERIFY) || { \
	    echo "verify: some tests failed, which are named above. To run the DAG alone and see why it" \
	    "fails: make all EDITION=$(EDITION). What a message means: docs/troubleshooting.md" >&2; exit 1; }

## test : all tests, faults included, for those who change the kit
test: test-env
	@$(MAKE) --no-print-directory tools $(FOR_TESTS)
	@$(call PYTEST,"Test edition $(EDITION)",-n 4) $(TESTS)

## test-all : the same for every edition
test-all:
	@for edition in $(notdir $(wildcard editions/*)); do \
	    $(MAKE) --no-print-directory test EDITION=$$edition || exit; done

## lint : the linters
lint:
	@$(MAKE) --no-print-directory tools $(FOR_TESTS)
	@$(call PYTEST,"Lint",-q) tests/test_style.py

# A PYTHON that was given is meant for the edition that was given.
FOR_TESTS = EDITION=3 $(if $(filter 3,$(EDITION)),,PYTHON=)
test-env:
	@$(MAKE) --no-print-directory env $(FOR_TESTS)
	$(if $(filter 3,$(EDITION)),,@$(MAKE) --no-print-directory env)

# What only the tests need, beside the environment: linters, and the builder of a conda channel.
tools: begin $(STATE)/tools.done
$(STATE)/tools.done: | $(STATE)/env.done
	@ENV_MANAGER=venv PYTHON=$(STATE)/env/bin/python \
	    bin/step "Make the environment of the test tools" bin/make-env $(STATE)/tools tests/tools.txt
	@cp $(@:done=now) $@

## screenshots : renew the README's pictures of the web pages, in docs/
screenshots: tools
	@bin/step "Take pictures" bin/sandbox python -m pytest tests/test_browser.py --screenshots docs

## bench : how fast it is, against the same steps typed by hand
bench: begin $(STATE)/dags.done
	@rm -f .sandbox/last-make # what is measured are other makes: see bin/claim-checkout
	@bin/step "Measure" bin/sandbox python bench/bench.py "$$ROUNDS" "$$START" "$$END"

### Care

## doctor : all that the kit may need: is it here, and what installs it
doctor:
	@bin/doctor

# What `make all` begins with, so that nothing is begun that can't be ended.
ready: check-place
	@bin/doctor --quiet

## lock : renew the locked versions of all packages
lock: begin $(if $(wildcard $(STATE)/env/bin/python),,$(STATE)/env.done)
	@bin/step "Renew the lock" bin/make-lock $(LOCKS) $(LOCK_OPTIONS)

## clean : remove the DAG runs, their results, and Airflow's state; keep the environment
clean: begin
	@bin/refuse-beside-ui $(STATE)
	rm -rf results/$(EDITION) $(STATE)/airflow $(STATE)/config.done $(STATE)/initdb.done $(STATE)/dags.done

## distclean : remove everything that the kit ever made
distclean: begin
	@bin/refuse-beside-ui .sandbox/*
	rm -rf results .sandbox .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

## help : this list
# It is made of the lines that begin with ### (a group), ## (a target) and #: (the variable that is
# named in the next line), and of the variables' present values.
help:
	@awk -F ' : ' ' \
	    /^### / { printf "%s%s\n", gap, substr($$0, 5); gap = "\n" } \
	    /^## /  { printf "  make %-15s %s\n", substr($$1, 4), $$2 } \
	    /^#: /  { meaning = substr($$0, 4); getline; split($$0, word, " "); \
	              setting = word[1] "=" ENVIRON[word[1]]; \
	              if (length(setting) > 20) setting = setting sprintf("\n%22s", ""); \
	              settings = settings sprintf("  %-20s %s\n", setting, meaning) } \
	    END     { printf "\nVariables and their present values, as in: make backfill START=2026-01-01\n%s", settings }' $(THIS)

.PHONY: begin check-place ready tools test-env all env config initdb list-dags list-tasks backfill results report
.PHONY: ui stop verify test test-all lint screenshots bench doctor lock clean distclean help
