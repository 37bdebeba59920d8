"""Parameter vectors that others published, to audit, to plan with, and to compare."""

import math
from typing import Final

__all__ = [
    "CHINCHILLA_PRINTED",
    "CHINCHILLA_REFIT",
    "CHINCHILLA_REFIT_SE",
    "CHINCHILLA_UNROUNDED",
]

CHINCHILLA_PRINTED: Final = {
    "E": "1.69",
    "A": "406.4",
    "B": "410.7",
    "alpha": "0.34",
    "beta": "0.28",
}
"""Hoffmann et al. 2022, arXiv:2203.15556, appendix D.2, eq. 10, with the digits given there."""

CHINCHILLA_UNROUNDED: Final = {
    "E": math.exp(0.5267228),
    "A": math.exp(6.0073404),
    "B": math.exp(6.0179186),
    "alpha": 0.33917084,
    "beta": 0.2849083,
}
"""The same fit before rounding: a comment after eq. 10 in the TeX source of arXiv:2203.15556, and
the start of the notebook of Besiroglu et al. 2024 (arXiv:2404.10102)."""

CHINCHILLA_REFIT: Final = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}
"""Besiroglu et al. 2024, arXiv:2404.10102, eq. 3: 240 points, with the residuals' scale fitted."""

CHINCHILLA_REFIT_SE: Final = {"E": 0.03, "A": 124.58, "B": 1293.23, "alpha": 0.02, "beta": 0.02}
"""Its standard errors over 4,000 replicates (arXiv:2404.10102, table 1)."""
