"""The one exception that the command line turns into one line and exit code 2."""


class InputError(Exception):
    """Something the user gave is wrong.

    The message is one line: it names the file, layer or option, what was found and what would be
    right.
    """
