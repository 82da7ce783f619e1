"""Ctrl-C and the like, for commands that have to tidy up before they end (Python 3.7)."""

import signal

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal asked this process to end; holds its number."""


def catch_signals():
    """From now on, let the first of the signals raise Interrupted, once."""

    def interrupt(number, _frame):
        ignore_signals()  # one is enough: what follows has to be done
        raise Interrupted(number)

    for number in SIGNALS:
        signal.signal(number, interrupt)


def ignore_signals():
    """Let nothing interrupt what follows, which has to be short."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
