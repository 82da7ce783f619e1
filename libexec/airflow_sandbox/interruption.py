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


class Relay:
    """From now on, the signals that ask this process to end are noted, and sent on to another one.

    received: their numbers. process: the Popen that they are sent on to, or None. first: a function
    that is called for each of them, before it is sent on.
    """

    def __init__(self, first=lambda: None):
        self.received, self.process, self._first = [], None, first
        for number in SIGNALS:
            signal.signal(number, self._take)

    def _take(self, number, _frame):
        self.received.append(number)
        self._first()
        if self.process:
            self.process.send_signal(number)

    def to(self, process):
        """From now on, send them on to a process, and the first one that has come already."""
        self.process = process
        if self.received:
            process.send_signal(self.received[0])
