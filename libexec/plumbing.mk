# Support code for the Makefile: the variables that you may set, strict settings of make, and the checks and
# stamps that let each step run once, and only where it can work.

# Before there is another SHELL, make runs this without any; make 3.81 would hand all below to one. Before what is
# made of it, too: make 4.4 hands a DATE of a make above to the command, and would warn that TODAY is not defined.
TODAY := $(shell date -u +%F)

# What you may set, as in: make backfill START=2026-01-01 END=2026-01-22
# All but two count on make's command line alone: exported, a variable of these names is usually somebody else's.
#:: What to run
#: the DAG to run; make verify: to test, or all
DAG := dag_test
#: the folder of the DAGs, instead of that in airflow.cfg
DAGS :=
#: the day to run, YYYY-MM-DD; today in UTC by default
DATE = $(TODAY)
#: the first day of a range; DATE by default
START = $(DATE)
#: the last day of a range; DATE by default
END = $(DATE)
#: Airflow's options for a backfill: bin/backfill -h
OPTIONS :=
#: how many DAG runs run side by side; Airflow's default: 10
MAX_ACTIVE_RUNS :=
#: where to download the data from, if not from UCI
DATA_URL :=
#: 1 shows all that Airflow logs, as it goes
V :=

#:: For some targets
#: make new-dag: the id of the DAG
NAME :=
#: make logs: of this task alone
TASK :=
#: make verify: a file for its results, in JUnit's format
JUNIT :=
#: the port of the Airflow UI: http://127.0.0.1:PORT/
PORT := 8080
#: exercise number; make ui N=1 serves the exercises
N :=
#: 1 restores the exercise's DAG; yours is kept beside it
RESET :=
#: 1 runs the exercise's solution
SOLUTION :=
#: how many times make bench measures
ROUNDS := 3

#:: Which Airflow, and how it is installed
#: the Airflow: 3 (the default), next, 2 or 1.10
EDITION ?= 3
#: conda, venv, or auto: conda if there is one
ENV_MANAGER ?= auto
#: the conda, mamba or micromamba to use
CONDA :=
#: the Python to make a venv from
PYTHON :=

#:: At a larger scale: docs/scaling.md
#: local, or celery: workers and a broker
EXECUTOR := $(if $(filter worker,$(MAKECMDGOALS)),celery,local)
#: the metadata database: sqlite or postgres
DB := $(if $(filter celery,$(EXECUTOR)),postgres,sqlite)
#: a Postgres to use, instead of the checkout's own
DB_URL := $(value SANDBOX_DB_URL)
#: a Redis or Valkey to use, instead of the checkout's own
BROKER_URL := $(value SANDBOX_BROKER_URL)
#: how many Celery workers to start on this machine
WORKERS := 2
#: the address at which other machines reach this one
LISTEN :=
#: where make worker reports to
API_URL :=
#: a folder that all machines share, for results and logs
SHARED :=

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
VARIABLES := EDITION DAG DAGS DATE START END OPTIONS EXECUTOR DB DB_URL BROKER_URL WORKERS LISTEN API_URL SHARED \
    MAX_ACTIVE_RUNS ENV_MANAGER CONDA PYTHON DATA_URL PORT N RESET SOLUTION NAME TASK JUNIT ROUNDS V
$(foreach name,$(VARIABLES),$(if $(filter command environment,$(firstword $(origin $(name)))),\
    $(if $(findstring $$,$(value $(name))),$(error $(name) has a dollar sign in it))))
# make takes any name, so a misspelt one (date=, EDTION=) would do nothing, and say nothing. Below another make, which
# hands on those of its own command line, only one that replaces a variable of these makefiles does harm.
$(foreach name,$(filter-out $(VARIABLES) SHELL,$(.VARIABLES)),$(if $(filter command,$(firstword \
    $(origin $(name)))),$(if $(filter 0,$(MAKELEVEL)),$(error there is no variable $(name); make help lists them),\
    $(if $(filter $(name),$(shell sed -n 's/^\([A-Z_]*\) *:*=.*/\1/p' Makefile libexec/plumbing.mk editions/*/*.mk)),\
    $(error the make above this one hands on a variable $(name); keep its variables from this one: \
    MAKEFLAGS= make $(MAKECMDGOALS))))))
# What differs from one Airflow to the next: its own commands, which the steps run by name.
$(if $(filter $(wildcard editions/*/edition.mk),editions/$(EDITION)/edition.mk),,\
    $(error EDITION=$(EDITION) is not an edition; these are: $(notdir $(wildcard editions/*))))
# The exercises, and some checks, hold for a generation of it.
GENERATION := $(EDITION)
include editions/$(EDITION)/edition.mk
# An installation of Airflow is a folder with its airflow.cfg and its metadata database. Another database
# or executor is another installation, beside this one, and so are the exercises; the environment is the same.
# The tests of a DAG of yours: make verify DAG=sales
TESTED := $(if $(filter verify,$(MAKECMDGOALS)),$(filter-out dag_test,$(DAG)))
EXERCISE := $(if $(filter exercise,$(MAKECMDGOALS))$(N),exercise)
$(if $(EXERCISE),$(if $(filter-out exercise ui stop watch,$(MAKECMDGOALS)),$(error N= is for make exercise, watch and\
    ui, which go without other targets)))
# Each exercise, and each run of such tests, begins with a copy of an empty database.
FRESH := $(if $(EXERCISE),exercises,$(if $(TESTED),tests))
BASE := .sandbox/$(EDITION)
AIRFLOW_SANDBOX := $(EDITION)$(if $(filter celery,$(EXECUTOR)),-celery,$(if \
    $(filter postgres,$(DB)),-postgres,$(FRESH:%=-%)))
STATE := .sandbox/$(AIRFLOW_SANDBOX)
LOCK := editions/$(EDITION)/requirements.txt
# The exercises' DAGs folder is a link to the one that is done, so that running servers find that, too.
ifneq ($(EXERCISE),)
DAGS_FOLDER := $(STATE)/dags
endif
# What only prepares these says little.
QUIETLY := $(if $(FRESH),SANDBOX_QUIET=1)
# For messages that name the whole command again (libexec/installation.sh): the goals, and the variables that were
# given. A make that a make has started has all others in the environment, too; these were not given to it.
GIVEN := command $(if $(filter undefined,$(origin SANDBOX_GIVEN)),environment)
SANDBOX_GIVEN := $(foreach name,$(filter-out $(if $(filter postgres,$(DB)),,DB_URL BROKER_URL),$(VARIABLES)),$(if \
    $(filter $(GIVEN),$(firstword $(origin $(name)))),$(name)))
SANDBOX_GOALS := $(MAKECMDGOALS)
export $(VARIABLES) SANDBOX_GIVEN SANDBOX_GOALS AIRFLOW_SANDBOX GENERATION PYTHON_MIN PYTHON_MAX BAD_IN_PATH DAGS_FOLDER

# A file NAME.done is touched when the step has succeeded. It depends on NAME.inputs, which libexec/repair-state
# writes when the content of these inputs has changed.
INPUTS := "env environment.yml $(LOCK) $(dir $(LOCK))build-constraints.txt libexec/make-env my-requirements.txt" \
    "tools tests/tools.txt" $(if $(EXTRAS),"extras $(EXTRAS)") "config $(SETTINGS) libexec/set-config" \
    "initdb $(STATE)/db-url" "dags . $(STATE)/airflow/dags.stored.variables"
$(BASE)/env.done $(BASE)/tools.done $(addprefix $(STATE)/,extras.done config.done initdb.done dags.done): %.done: %.inputs
%.inputs: ;

# What Airflow needs before it can be configured: the environment, and the packages for this database.
PACKAGES := $(if $(filter postgres,$(DB)),$(STATE)/extras.done,$(BASE)/env.done)
# The results of dag_test for a day need a backfill if there are none.
RESULTS := $(if $(SHARED),$(SHARED)/)results
LOGS := $(if $(SHARED),$(SHARED),$(STATE)/airflow)/logs
NO_RESULTS := $(if $(filter dag_test,$(DAG)),$(if $(wildcard $(RESULTS)/$(EDITION)/$(END)/results.csv),,backfill))
# Can the kit work in this checkout and on this machine?
preflight:
	@bash libexec/preflight

# Before anything is touched: check the variables, and lock the checkout.
claim: preflight
	@libexec/check-input $(filter report ui watch worker exercise exercises verify new-dag logs,$(MAKECMDGOALS))
	@libexec/lock-checkout

# A task may have left what can't be written to.
REMOVE = @echo "rm -rf $(1)"; rm -rf $(1) 2>/dev/null || { chmod -R u+rwX $(1) 2>/dev/null || true; rm -rf $(1); } || \
    { echo "make: if these are another user's, make them yours: sudo chown -R $$(id -u) .sandbox" >&2; exit 1; }

# Before each step: repair what a killed make has left.
begin: claim
	@libexec/repair-state $(BASE) $(STATE) $(INPUTS)

# The check that `make all` starts with, so that it does not stop half-way.
prerequisites: preflight
	@bin/doctor --quiet

# The tests run in the environment of edition 3, side by side in so many processes, where they don't
# share a checkout. Each works in copies of this one, so yours stays as it is.
PYTEST = EDITION=3 EXECUTOR= DB= AIRFLOW_SANDBOX=3 libexec/step $(1) bin/sandbox python -m pytest $(2) --dist=loadgroup \
    --no-loadscope-reorder --edition $(EDITION)$(patsubst $(BASE)-%, --installation %,$(filter $(BASE)-%,$(STATE)))

# What make verify runs, and what that says. With a DAG of yours, it runs its tests instead of the kit's.
LOCKED_AIRFLOW = Airflow $(shell sed -n 's/^apache-airflow==\([^ ]*\).*/\1/p' $(LOCK))
ifeq ($(TESTED),)
PROOF = $(call PYTEST,"Verify edition $(EDITION)",-v -n 2) $(VERIFY)
PROVED = $(LOCKED_AIRFLOW) ran dag_test in a new checkout, all 3 tasks succeeded, and the numbers are right
ADVICE = To run the DAG alone and see why it fails: make all$$given$$variables. \
    What a message means: docs/troubleshooting.md
else
PROOF = libexec/step "Run the tests of $$DAG" bin/sandbox libexec/test-dags "$$DAG"
PROVED = $(LOCKED_AIRFLOW) passed all tests of $(if $(filter all,$(DAG)),your DAGs,$$DAG)
ADVICE = The logs of all tasks are in $(STATE)/airflow/logs/
endif

# A PYTHON that was given is meant for the edition that was given.
FOR_TESTS = EDITION=3 EXECUTOR=local DB=sqlite $(if $(filter 3,$(EDITION)),,PYTHON=)
test-env:
	@$(MAKE) --no-print-directory env $(FOR_TESTS)
	$(if $(filter .sandbox/3,$(STATE)),,@$(MAKE) --no-print-directory env)

# What only the tests need, beside the environment: linters, and the builder of a conda channel.
tools: begin $(BASE)/tools.done
$(BASE)/tools.done: | $(BASE)/env.done
	@ENV_MANAGER=venv PYTHON=$(BASE)/env/bin/python \
	    libexec/step "Make the environment of the test tools" libexec/make-env $(BASE)/tools tests/tools.txt
	@touch $@

## help : this list
# It is made of the lines that begin with ### (a group of targets), ## (a target), #:: (a group of variables) and
# #: (the variable that is named in the next line), and of the variables' present values.
help:
	@awk -F ' : ' ' \
	    /^### / { printf "%s%s\n", gap, substr($$0, 5); gap = "\n" } \
	    /^## /  { printf "  make %-15s %s\n", substr($$1, 4), $$2 } \
	    /^#:: / { settings = settings sprintf("\n%s\n", substr($$0, 5)) } \
	    /^#: /  { meaning = substr($$0, 4); getline; split($$0, word, " "); \
	              value = ENVIRON[word[1]]; sub(/:\/\/[^\/]*@/, "://***@", value); \
	              setting = word[1] "=" value; \
	              if (length(setting) > 20) setting = setting sprintf("\n%22s", ""); \
	              settings = settings sprintf("  %-20s %s\n", setting, meaning) } \
	    END     { printf "\nVariables and their values now, as in: make backfill START=2026-01-01\n%s", settings }' Makefile libexec/plumbing.mk

.PHONY: claim begin preflight prerequisites tools test-env all env config initdb list-dags list-tasks backfill results report new-dag logs
.PHONY: ui stop worker watch exercises exercise verify test test-all lint screenshots bench doctor lock clean distclean help
