# Which installation of Airflow a command is for, and what to type for it. To be sourced.
# shellcheck shell=bash
#
# An installation is a folder .sandbox/NAME, with an airflow.cfg and a metadata database. NAME is the
# edition's, and one with another database or executor, for the exercises or for tests of DAGs, is
# EDITION-postgres, EDITION-celery, EDITION-exercises or EDITION-tests. make hands on the name as
# AIRFLOW_SANDBOX (libexec/plumbing.mk). Typed by hand, a command is for that of AIRFLOW_SANDBOX, or of EDITION.

# variables_of NAME: the variables that select this installation in a make command, each after a blank.
variables_of() {
    local words=''
    [ "${1%%-*}" = 3 ] || words=" EDITION=${1%%-*}"
    case $1 in
    *-celery) words="$words EXECUTOR=celery" ;;
    *-postgres) words="$words DB=postgres" ;;
    esac
    printf %s "$words"
}

# quoted TEXT: the text as one word of a command line.
quoted() {
    local quote="'" escaped="'\\''"
    case $1 in '' | *[!A-Za-z0-9_./:=@,+-]*) set -- "'${1//$quote/$escaped}'" ;; esac
    printf %s "$1"
}

# Without that name, a command is typed by hand, and the other variables are whatever your shell has exported.
installation=${AIRFLOW_SANDBOX:-${EDITION:-3}}
[ -n "${AIRFLOW_SANDBOX:-}" ] || unset SHARED DAGS DATA_URL DB_URL BROKER_URL API_URL LISTEN V
variables=$(variables_of "$installation")
# The variables that make was given (it names them in SANDBOX_GIVEN), so that a message can name a whole command: those
# that decide what Airflow works with are in $variables, all others in $given, and $again is the command itself. What
# selects the same installation before a bin/sandbox is in $by_hand.
given='' by_hand=''
for name in ${SANDBOX_GIVEN-SHARED DAGS BROKER_URL API_URL DATA_URL}; do
    word=" $name=$(quoted "${!name:-}")"
    case $name:${!name:-} in
    *: | EDITION:* | EXECUTOR:* | DB:*) ;;                                   # not set, or said by variables_of
    DB_URL:* | BROKER_URL:* | *_URL:*@*) variables="$variables $name=..." ;; # may have a password
    *_URL:*) variables=$variables$word ;;
    SHARED:* | DAGS:*) variables=$variables$word by_hand=$by_hand$word ;;
    *) given=$given$word ;;
    esac
done
[ "$installation$by_hand" = 3 ] || by_hand=" AIRFLOW_SANDBOX=$installation$by_hand"
# shellcheck disable=SC2034 # for those who source this
again=${SANDBOX_GIVEN+make $SANDBOX_GOALS$given$variables}
