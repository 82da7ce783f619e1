# The file .env, with the variables that your tasks need. To be sourced.
# shellcheck shell=bash

# read_dotenv FILE: add the NAME=VALUE of each line to $dotenv, without what the kit decides itself. As elsewhere, a
# line may begin with export, have its value in quotes, and end in a comment; but nothing is run or expanded.
# Fails if there is any other line, and says which.
dotenv=()
read_dotenv() {
    local line name value why='' number=0 nl=$'\n' q='"' b=\\ pair
    pair='^[[:space:]]*(export[[:space:]]+)?([A-Za-z_][A-Za-z0-9_]*)[[:space:]]*=[[:space:]]*'
    pair=$pair"(\"(([^\"\\]|\\\\.)*)\"|'([^']*)'|([^\"'].*)?)[[:space:]]*(#.*)?\$"
    [ ! -f "$1" ] || while IFS= read -r line || [ -n "$line" ]; do
        number=$((number + 1)) line=${line%$'\r'} why=''
        line=${line#$'\xef\xbb\xbf'} # with which some editors begin a file
        [[ ! $line =~ ^[[:space:]]*(#|$) ]] || continue
        why='this is not a line like NAME=VALUE'
        [[ $line =~ $pair ]] || break
        name=${BASH_REMATCH[2]} value=${BASH_REMATCH[7]%%[[:space:]]#*}
        value=${value%"${value##*[![:space:]]}"}${BASH_REMATCH[6]}
        line=${BASH_REMATCH[4]//"$b$q"/$q}
        value=$value${line//"${b}n"/$nl}
        why="$name is a setting of Airflow's; write it into airflow.cfg"
        case $name in
        AIRFLOW__* | AIRFLOW_CONFIG) break ;;
        V | EXECUTOR | BROKER_URL | API_URL | SHARED | DATA_URL | RUN_AGAIN | AIRFLOW_SANDBOX* | PYTHON*) ;;
        *) dotenv+=("$name=$value") ;;
        esac
        why=''
    done <"$1"
    [ -z "$why" ] || echo "${0##*/}: ${1##*/}:$number: $why" >&2
    [ -z "$why" ]
}
