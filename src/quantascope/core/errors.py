"""Errors of the project: what a user did is ValueError, what data or artefacts are is ours.

The command line turns `ValueError` into exit code 2 (usage) and
`QuantascopeError` into exit code 1 (data), one line each.
"""

__all__ = ["ArtefactError", "DataError", "QuantascopeError"]


class QuantascopeError(Exception):
    """Base of every error that is about data rather than about arguments."""


class ArtefactError(QuantascopeError):
    """A run folder's artefact is missing, damaged, stale, or of an unknown schema."""


class DataError(QuantascopeError):
    """Input data (text, models, losses) cannot be used as given."""
