"""Floor 1: laws as functions, fits and intervals."""

from quantascope.laws.fit import NOT_STATED, Bootstrap, fit
from quantascope.laws.result import LawFit, Prediction
from quantascope.laws.table import LAWS, find_law

__all__ = ["LAWS", "NOT_STATED", "Bootstrap", "LawFit", "Prediction", "find_law", "fit"]
