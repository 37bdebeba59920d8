"""Floor 1: laws as functions, one fitter, and what follows from a fit.

forms      laws as functions of logarithms, and their table
fitting    points, minimiser, global search, intervals, the result
choosing   extrapolation scores, leaderboard, audit of published parameters
planning   budgets: three approaches, steps and batch
tails      power-law tails
shapes     shapes of curves
"""

from quantascope.laws.choosing.select import compare_laws
from quantascope.laws.fitting.fit import NOT_STATED, Bootstrap, fit
from quantascope.laws.fitting.result import LawFit, Prediction
from quantascope.laws.forms.law import Law, Param
from quantascope.laws.forms.table import LAWS, find_law
from quantascope.laws.planning.allocate import overtrain, plan

__all__ = [
    "LAWS",
    "NOT_STATED",
    "Bootstrap",
    "Law",
    "LawFit",
    "Param",
    "Prediction",
    "compare_laws",
    "find_law",
    "fit",
    "overtrain",
    "plan",
]
