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
    local quote="'" escaped="'\\''" text
    text=${1//$quote/$escaped}
    case $1 in '' | *[!A-Za-z0-9_./:=@,+-]*) text="'$text'" ;; esac
    printf %s "$text"
}

# words_of NAME ...: the variables that have a value, each as " NAME=VALUE"; no value that may hold a password.
words_of() {
    local name value
    for name; do
        value=${!name:-}
        case $name:$value in
        *:) continue ;;
        DB_URL:* | BROKER_URL:* | *_URL:*@*) value=... ;;
        esac
        printf ' %s=%s' "$name" "$(quoted "$value")"
    done
}

case ${EXECUTOR:-local}:${DB:-sqlite} in
celery:*) installation=${EDITION:-3}-celery ;;
*:postgres) installation=${EDITION:-3}-postgres ;;
*) installation=${EDITION:-3} ;;
esac
installation=${AIRFLOW_SANDBOX:-$installation}
variables=$(variables_of "$installation")
# The variables that make was given (SANDBOX_GIVEN has their names), so that a message can name the whole
# command: in $variables those that decide what Airflow is used, in $given all others, in $again the command itself.
given=''
for name in ${SANDBOX_GIVEN-SHARED}; do
    case $name in
    EDITION | EXECUTOR | DB) ;; # see variables_of
    DB_URL | SHARED | DAGS) variables=$variables$(words_of "$name") ;;
    *) given=$given$(words_of "$name") ;;
    esac
done
# shellcheck disable=SC2034 # for those who source this
again=${SANDBOX_GIVEN+make $SANDBOX_GOALS$given$variables}
