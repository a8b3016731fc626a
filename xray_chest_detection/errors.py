"""Errors a user can cause. Each message is one line: the place, the value, what is allowed, and the cure."""


class XrayError(Exception):
    """Base of all errors whose message is meant for the user; commands print it and exit with 1."""


class UsageError(XrayError):
    """A command was called with options it does not have; commands exit with 2."""


class ConfigError(XrayError):
    """A configuration file or a command-line override is wrong."""


class DataError(XrayError):
    """A table, a split or a data set on disk is wrong."""


class ImageError(XrayError):
    """A file is not an image that can be read."""


class ModelError(XrayError):
    """A weights file, a model card or a run folder is missing or does not fit."""


class DependencyError(XrayError):
    """An optional package is not installed."""


class DeployError(XrayError):
    """The page as it would be deployed does not start, does not fit, or does not answer."""
