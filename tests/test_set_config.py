"""The editor of airflow.cfg changes what it is to change and not one byte more."""

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


def test_each_option_is_set_in_its_place_and_the_rest_keeps_its_bytes(config):
    words = ["core.dags_folder=/work/dags", "api.host=127.0.0.1", "core.long=short", "core.new=1"]
    assert edit(config, *words, "last.new=2").returncode == 0
    changes = {
        "/home/u/airflow/dags": "/work/dags",
        "# host = 0.0.0.0": "host = 127.0.0.1",  # switched on, in its own section
        "one\n    two\n": "short\nnew = 1\n",  # all the lines of the old value
        "only = 1": "only = 1\nnew = 2\n",
    }
    text = CONFIG
    for old, new in changes.items():
        text = text.replace(old, new)
    assert config.read_text() == text


@pytest.mark.parametrize("text", ["/a b&c", "100%", "%(home)s", "é=ö", "a#b;c", "", "x=[y]"])
def test_any_text_on_one_line_is_read_back_as_it_was_given(config, text):
    assert edit(config, f"core.dags_folder={text}").returncode == 0
    assert value(config, "core", "dags_folder") == text


def test_a_second_time_changes_nothing(config):
    edit(config, "core.dags_folder=/100%")
    before = config.read_bytes()
    outcome = edit(config, "core.dags_folder=/100%")
    assert (outcome.returncode, outcome.stdout) == (0, "")
    assert config.read_bytes() == before


def test_a_weak_secret_is_replaced_once_and_not_shown(config):
    outcome = edit(config, "api.jwt_secret=(a new secret)", "core.new=1")
    secret = value(config, "api", "jwt_secret")
    assert len(secret.encode()) >= 64
    assert secret not in outcome.stdout + outcome.stderr
    assert "new secret" in outcome.stdout
    edit(config, "api.jwt_secret=(a new secret)")
    assert value(config, "api", "jwt_secret") == secret
    assert config.stat().st_mode & 0o777 == 0o600


def test_the_last_of_several_settings_files_counts(config, tmp_path):
    (tmp_path / "first").write_text(
        "# why\n[core]\n# why\nlong = 100%\nnew = a=b\n[api]\nhost = x\n"
    )
    (tmp_path / "second").write_text("[core]\nlong = 50%\n")
    assert edit(config, tmp_path / "first", tmp_path / "second").returncode == 0
    assert value(config, "core", "long") == "50%" and value(config, "core", "new") == "a=b"
    assert value(config, "api", "host") == "x"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["core.dags_folder=/new", "nowhere.key=1"], "there is no section [nowhere]"),
        (["core=1"], "No such file or directory: 'core=1'"),
        (["core.x=1\n[api]\nport=1"], "No such file or directory"),
        (["broken.cfg"], "File contains no section headers"),
        (["latin.cfg"], "to start over, delete it and run: make config"),
    ],
)
def test_what_can_not_be_set_is_an_error_and_the_file_stays(config, monkeypatch, words, error):
    monkeypatch.chdir(config.parent)
    Path("broken.cfg").write_text("no section = 1\n")
    Path("latin.cfg").write_bytes(b"[core]\n\xff\xfe\n")
    outcome = edit(config, *words)
    assert outcome.returncode == 1 and error in outcome.stderr, outcome.stderr
    assert "Traceback" not in outcome.stderr and config.read_text() == CONFIG
    assert edit("latin.cfg", "core.x=1").returncode == 1
