"""How a command says that it can't do its work: one message, without a traceback. (Python 3.7)"""

import signal
import sys

from airflow_sandbox.interruption import Interrupted


class UserError(Exception):
    """What was asked for can't be done; the message says why, and what to do.

    exit_code: the one that the command ends with.
    """

    def __init__(self, message, exit_code=1):
        super().__init__(message)
        self.exit_code = exit_code


def exit_code(name, work, again=None):
    """Return what work() returns, an exit code; if it can't be done, say why, and return another.

    name: of the command, which the message begins with. again: the command that does it again, for
    a message that does not say what to do.
    """
    again = f"; to run it again: {again}" if again else ""
    try:
        return work()
    except UserError as error:
        message, code = error, error.exit_code
    except BrokenPipeError:
        sys.stdout = None  # else Python tries to flush it once more
        message, code = f"nobody reads its output any more, so it was stopped{again}", 1
    except OSError as error:
        message, code = f"{error}{again}", 1
    except Interrupted as interrupted:
        number = interrupted.args[0]
        message = f"interrupted by {signal.Signals(number).name}; all that it started has ended"
        message, code = message + again, 128 + number
    print(f"{name}: {message}", file=sys.stderr)
    return code
