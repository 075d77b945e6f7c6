"""Errors that are written for the person who runs the project.

Their message names the file, field or parameter at fault and says what to do; the command line prints it
without a traceback and exits with 1.
"""


def first_line(error: BaseException) -> str:
    """What a library says went wrong, in one line; of an error that says nothing, its kind."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


class RglcdError(Exception):
    """Something that the user can put right."""


class ConfigError(RglcdError):
    """A parameter that is misspelt, of the wrong type, or impossible beside another."""


class DataError(RglcdError):
    """Data that is missing, damaged, or made from something else than what is asked for."""
