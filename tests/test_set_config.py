"""The editor of airflow.cfg changes what it was told to and not one byte more."""

import configparser
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(__file__).resolve().parent.parent / "libexec/set-config"

CONFIG = """\
# The head of the file.
[core]
# Where the DAGs are.
dags_folder = /home/u/airflow/dags
# executor = CeleryExecutor

  # indented = comment
long = one
    two

[api]
# host = 0.0.0.0
port = 8080
[last]
only = 1"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "airflow.cfg"
    path.write_text(CONFIG)
    return path


def edit(*arguments):
    command = [sys.executable, str(COMMAND), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def value(path, section, key):
    parser = configparser.ConfigParser()
    parser.read(path)
    return parser[section][key]


def test_an_option_is_set_where_it_stands_and_the_rest_keeps_its_bytes(config):
    assert edit(config, "core.dags_folder=/work/dags").returncode == 0
    assert config.read_text() == CONFIG.replace("/home/u/airflow/dags", "/work/dags")


def test_an_option_that_is_commented_out_is_switched_on_in_its_own_section(config):
    assert edit(config, "api.host=127.0.0.1").returncode == 0
    assert config.read_text() == CONFIG.replace("# host = 0.0.0.0", "host = 127.0.0.1")


def test_a_new_option_goes_to_the_end_of_its_section(config):
    assert edit(config, "core.new=1", "last.new=2").returncode == 0
    text = config.read_text()
    assert "    two\nnew = 1\n\n[api]" in text
    assert text.endswith("only = 1\nnew = 2\n")


def test_all_the_lines_of_an_old_value_are_replaced(config):
    assert edit(config, "core.long=short").returncode == 0
    assert config.read_text() == CONFIG.replace("one\n    two", "short")


@pytest.mark.parametrize("text", ["/a b&c", "100%", "%(home)s", "é=ö", "a#b;c", "", "x=[y]"])
def test_any_text_on_one_line_is_read_back_as_it_was_given(config, text):
    assert edit(config, f"core.dags_folder={text}").returncode == 0
    assert value(config, "core", "dags_folder") == text


def test_a_second_time_changes_nothing(config):
    edit(config, "core.dags_folder=/100%")
    before = config.read_bytes()
    outcome = edit(config, "core.dags_folder=/100%")
    assert "nothing to change" in outcome.stdout
    assert config.read_bytes() == before


def test_a_weak_secret_is_replaced_once_and_not_shown(config):
    outcome = edit(config, "--secret", "api.jwt_secret", "core.new=1")
    secret = value(config, "api", "jwt_secret")
    assert len(secret.encode()) >= 64
    assert secret not in outcome.stdout + outcome.stderr
    assert "new secret" in outcome.stdout
    edit(config, "--secret", "api.jwt_secret")
    assert value(config, "api", "jwt_secret") == secret
    assert config.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("option", ["core", "core=1", "core.x", "=", "core.x=1\n[api]\nport=1"])
def test_a_malformed_option_is_refused_and_the_file_stays(config, option):
    outcome = edit(config, option)
    assert outcome.returncode == 2
    assert "SECTION.KEY=VALUE" in outcome.stderr
    assert config.read_text() == CONFIG


def test_a_section_that_is_not_there_is_an_error_and_the_file_stays(config):
    outcome = edit(config, "core.dags_folder=/new", "nowhere.key=1")
    assert outcome.returncode == 1
    assert "no section [nowhere]" in outcome.stderr
    assert config.read_text() == CONFIG
    assert list(config.parent.iterdir()) == [config]


def test_a_file_that_is_not_there_or_not_text_is_an_error(tmp_path):
    assert edit(tmp_path / "none.cfg", "core.x=1").returncode == 1
    (tmp_path / "bad.cfg").write_bytes(b"[core]\n\xff\xfe\n")
    assert "make config" in edit(tmp_path / "bad.cfg", "core.x=1").stderr
