"""The one kind of error that a user is shown as a message, without a traceback. (Python 3.7)"""


class UserError(Exception):
    """What was asked for can't be done; the message says why, and what to do.

    exit_code: the one that the command ends with.
    """

    def __init__(self, message, exit_code=1):
        super().__init__(message)
        self.exit_code = exit_code
