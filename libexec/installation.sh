# Which installation of Airflow a command is for, and what to type for it. To be sourced.
# shellcheck shell=bash
#
# An installation is a folder .sandbox/NAME, with an airflow.cfg and a metadata database. NAME is the
# edition's, and one with another database or executor, or for the exercises, is EDITION-postgres,
# EDITION-celery or EDITION-exercises. make hands on the name as AIRFLOW_SANDBOX (libexec/plumbing.mk).
# Of a command that is typed by hand, the variables EDITION, DB and EXECUTOR say it.

# variables_of NAME: the variables that select this installation in a make command, if it needs any.
variables_of() {
    local words=''
    [ "${1%%-*}" = 3 ] || words=" EDITION=${1%%-*}"
    case $1 in
    *-celery) words="$words EXECUTOR=celery" ;;
    *-postgres) words="$words DB=postgres" ;;
    esac
    printf %s "${words# }"
}

case ${EXECUTOR:-local}:${DB:-sqlite} in
celery:*) installation=${EDITION:-3}-celery ;;
*:postgres) installation=${EDITION:-3}-postgres ;;
*) installation=${EDITION:-3} ;;
esac
installation=${AIRFLOW_SANDBOX:-$installation}
variables=$(variables_of "$installation")
# shellcheck disable=SC2034 # for those who source this
[ -z "${SHARED:-}" ] || variables="${variables:+$variables }SHARED=$(printf %q "$SHARED")"
