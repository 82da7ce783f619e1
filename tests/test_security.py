"""What the kit keeps to itself: its sockets to this machine, its secrets to their user.

These tests hold for every edition: pytest --edition 2 runs them on Airflow 2.
"""

import base64
import configparser
import os
import re
import subprocess

import pytest
from support.backfills import wait
from support.guarantees import guarantee
from support.watch import Watch

# --- Sockets


@guarantee(
    "What is open",
    "`make all`, edition 3",
    (
        "an API server, for the time of the backfill, on a free port of 127.0.0.1; Airflow's log "
        "server, which would listen to the whole network, is not started"
    ),
)
def test_no_process_of_make_all_listens_to_the_network(finished):
    assert finished.watch.open_to_the_network() == {}
    # The watch has seen what there was to see: the task that takes seconds, and edition 3's server.
    assert any("regress.py" in command for command in finished.watch.commands)
    server = re.search(r"api-server --apps execution --host 127\.0\.0\.1", finished.all.stdout)
    assert bool(finished.watch.listening) == bool(server)
    assert bool(server) == (finished.edition == "3")


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
def test_the_watch_sees_a_socket_that_is_open_to_the_network(finished, protocol):
    """The control of the test above: as Airflow's log server opens one, in a process's child."""
    kind = {"TCP": "STREAM", "UDP": "DGRAM"}[protocol]
    opener = (
        "import os, socket, sys; os.fork() and os._exit(os.wait()[1]);"
        f"s = socket.socket(type=socket.SOCK_{kind}); s.bind(('0.0.0.0', 0));"
        "s.type == socket.SOCK_STREAM and s.listen(); sys.stdin.read()"
    )
    with Watch() as watch:
        process = subprocess.Popen(
            ["bin/sandbox", "python", "-c", opener],
            cwd=finished.path,
            env={**os.environ, "EDITION": finished.edition},
            stdin=subprocess.PIPE,
        )
        wait(watch.open_to_the_network, "the watch to see it", 30)
        process.communicate()
    assert set(watch.open_to_the_network()) == {(protocol, "0.0.0.0")}


# --- Secrets. They are named in a failure's message, never shown: CI's output is public.

# Options of an airflow.cfg that hold a secret, where Airflow or make config has set them.
SECRET = re.compile(r"(fernet_key|secret|secret_key|password)$")
# A number, and Airflow 1.10's example of a password for a login by LDAP, which is off.
NO_SECRETS = {"logging.min_length_masked_secret", "ldap.bind_password"}
# A signed token, such as Airflow 3 gives to every task: {"alg"... in base64, and two parts more.
TOKEN = re.compile(rb"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{16,}")


def secrets_of(checkout):
    """Return the secrets in a checkout's airflow.cfg as {"section.option": value}."""
    config = configparser.RawConfigParser(strict=False)
    config.read(checkout.home / "airflow.cfg")
    secrets = {
        f"{section}.{option}": value
        for section in config.sections()
        for option, value in config[section].items()
        if value and SECRET.search(option) and f"{section}.{option}" not in NO_SECRETS
    }
    assert {"core.fernet_key"} < secrets.keys()
    return secrets


def held_by(content, checkout):
    """Return the names of the secrets of a checkout that are in content, which is bytes."""
    held = [name for name, value in secrets_of(checkout).items() if value.encode() in content]
    return held + ["a token"] * bool(TOKEN.search(content))


def mode(path):
    return oct(path.stat().st_mode & 0o777)


@pytest.fixture(scope="module")
def configured(new_checkout):
    """Another Checkout, in which `make config` has run; its outcome is in .config."""
    checkout = new_checkout()
    checkout.config = checkout.run("bash", "-c", "make config 2>&1")
    assert checkout.config.returncode == 0, checkout.config.stdout
    return checkout


@guarantee(
    "What is secret",
    "Two checkouts have no secret in common, and none has a value that is known or short.",
)
def test_two_checkouts_have_other_secrets_and_none_is_weak(finished, configured):
    one, other = secrets_of(finished), secrets_of(configured)
    assert one.keys() == other.keys()
    # By default, Airflow takes 16 random bytes for some of them, which base64 makes 24 characters.
    assert [name for name in one if one[name] == other[name] or len(one[name]) < 24] == []
    assert len(base64.urlsafe_b64decode(one["core.fernet_key"])) == 32


@guarantee(
    "What is secret",
    "No secret and no token is in a log, a result or any other file.",
)
def test_no_other_file_holds_a_secret(finished):
    holders = {}
    for folder, _, names in os.walk(finished.path):  # not the environment, which is a link here
        for path in (os.path.join(folder, name) for name in names):
            if not os.path.islink(path):
                with open(path, "rb") as file:
                    if held := held_by(file.read(), finished):
                        holders[os.path.relpath(path, finished.home)] = held
    # Airflow 1.10 writes a second configuration, for tests of its own.
    second = {"unittests.cfg"} if finished.edition == "1.10" else set()
    assert holders.keys() == {"airflow.cfg"} | second, holders


@guarantee(
    "What is secret",
    "Whatever your umask, nobody else can read secrets, database or logs.",
)
def test_what_the_sandbox_makes_is_for_its_user_alone_whatever_the_umask(finished):
    """The `make all` of this checkout ran with umask 000, which lets everybody read and write."""
    for folder in (finished.home, finished.state / "home", finished.state / "tmp"):
        assert mode(folder) == "0o700", folder
    files = [*finished.home.glob("*.cfg"), *finished.home.glob("airflow.db*")]
    assert {mode(path) for path in files} == {"0o600"}, files


@guarantee(
    "What is secret",
    "No secret is in what is printed, or in a command line, which every user can see.",
)
def test_no_secret_is_printed_or_in_a_command_line(finished, configured):
    assert held_by(finished.all.stdout.encode(), finished) == []
    assert held_by("\n".join(finished.watch.commands).encode(), finished) == []
    assert held_by(configured.config.stdout.encode(), configured) == []


@guarantee(
    "What is secret",
    "A second `make config` keeps the secrets.",
)
def test_make_config_again_keeps_the_secrets_and_prints_none(configured):
    before = secrets_of(configured)
    with (configured.path / "editions" / configured.edition / "settings.cfg").open("a") as file:
        file.write("# as an update might\n")
    outcome = configured.run("bash", "-c", "make config 2>&1")
    assert outcome.returncode == 0, outcome.stdout
    assert "Set dags_folder" in outcome.stdout
    after = secrets_of(configured)
    assert [name for name in before if before[name] != after.get(name)] == []
    assert held_by(outcome.stdout.encode(), configured) == []
    assert mode(configured.home / "airflow.cfg") == "0o600"


@guarantee(
    "What is secret",
    "A damaged `airflow.cfg` that was set aside stays for you alone.",
)
def test_secrets_that_are_set_aside_stay_for_their_user_alone(configured):
    cfg = configured.home / "airflow.cfg"
    cfg.write_text(cfg.read_text()[: cfg.stat().st_size // 2])
    outcome = configured.run("bash", "-c", "umask 000; make config 2>&1")
    assert outcome.returncode == 0, outcome.stdout
    (aside,) = configured.state.glob("set-aside/*/airflow.cfg")
    assert mode(aside) == "0o600"
    assert mode(aside.parent) == mode(aside.parent.parent) == "0o700"
