# Which installation of Airflow a command is for, and what to type for it. To be sourced.
# shellcheck shell=bash
#
# An installation is a folder .sandbox/NAME, with an airflow.cfg and a metadata database. NAME is the
# edition's, and one with another database or executor, or for the exercises, is EDITION-postgres,
# EDITION-celery or EDITION-exercises. make hands on the name as AIRFLOW_SANDBOX (libexec/plumbing.mk).
# Of a command that is typed by hand, the variables EDITION, DB and EXECUTOR say it.

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

case ${EXECUTOR:-local}:${DB:-sqlite} in
celery:*) installation=${EDITION:-3}-celery ;;
*:postgres) installation=${EDITION:-3}-postgres ;;
*) installation=${EDITION:-3} ;;
esac
installation=${AIRFLOW_SANDBOX:-$installation}
variables=$(variables_of "$installation")
# The variables that make was given (it names them in SANDBOX_GIVEN), so that a message can name a whole command: those
# that decide what Airflow works with are in $variables, all others in $given, and $again is the command itself.
given=''
for name in ${SANDBOX_GIVEN-SHARED BROKER_URL API_URL DATA_URL}; do
    word=" $name=$(quoted "${!name:-}")"
    case $name:${!name:-} in
    *: | EDITION:* | EXECUTOR:* | DB:*) ;;                                   # not set, or said by variables_of
    DB_URL:* | BROKER_URL:* | *_URL:*@*) variables="$variables $name=..." ;; # may have a password
    *_URL:* | SHARED:* | DAGS:*) variables=$variables$word ;;
    *) given=$given$word ;;
    esac
done
# shellcheck disable=SC2034 # for those who source this
again=${SANDBOX_GIVEN+make $SANDBOX_GOALS$given$variables}
