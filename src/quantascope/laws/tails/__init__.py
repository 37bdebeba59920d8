"""Power-law tails: exact likelihood, cut-off, goodness of fit, comparison with other tails."""

from quantascope.laws.tails.bootstrap import GoodnessOfFit, bootstrap_tail, goodness_of_fit
from quantascope.laws.tails.compare import TailComparison, compare_tails
from quantascope.laws.tails.fit import CutoffScan, PowerTail, choose_xmin, fit_power_tail
from quantascope.laws.tails.power import draw_power_law
from quantascope.laws.tails.rank import RankSizeSlope, rank_size_slope

__all__ = [
    "CutoffScan",
    "GoodnessOfFit",
    "PowerTail",
    "RankSizeSlope",
    "TailComparison",
    "bootstrap_tail",
    "choose_xmin",
    "compare_tails",
    "draw_power_law",
    "fit_power_tail",
    "goodness_of_fit",
    "rank_size_slope",
]
