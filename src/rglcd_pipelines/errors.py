"""Errors that are written for the person who runs the project.

Their message names the file, field or parameter at fault and says what to do; the command line prints it
without a traceback and exits with 1.
"""


class RglcdError(Exception):
    """Something that the user can put right."""


class ConfigError(RglcdError):
    """A parameter that is misspelt, of the wrong type, or impossible beside another."""


class DataError(RglcdError):
    """Data that is missing, damaged, or made from something else than what is asked for."""
