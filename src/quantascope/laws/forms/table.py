"""The table of laws: every form that can be fitted, in one visible place."""

from typing import Any, Final

import numpy as np

from quantascope.laws.forms import curves, joint, sharing
from quantascope.laws.forms.law import Law, Param
from quantascope.laws.forms.params import exponent, floor, length, position, prefactor, real, width
from quantascope.laws.forms.powers import Term, power_form, power_rescale, power_starts

__all__ = ["LAWS", "find_law"]

_KAPLAN: Final = "Kaplan et al. 2020, arXiv:2001.08361"
_QUANTA: Final = "Michaud et al. 2023, arXiv:2303.13506"
_STEEP: Final = np.geomspace(0.02, 3.0, 64)
_PAIRS: Final = np.geomspace(0.02, 2.5, 24)
_ANY_SLOPE: Final = np.linspace(-4, 4, 129)


def _powers(
    *terms: Term, axis: np.ndarray[tuple[int, ...], np.dtype[np.float64]], **row: Any
) -> Law:
    return Law(
        form=power_form(terms),
        starts=power_starts(terms, axis),
        rescale=power_rescale(terms),
        **row,
    )


def _kaplan(name: str, resource: str, scale: str, power: str, equation: str) -> Law:
    return _powers(
        Term(0, 1, (-1,), inside=True),
        axis=_STEEP,
        name=name,
        formula=f"L = ({scale}/{resource})^{power}",
        inputs=(resource,),
        params=(
            length(scale, f"{resource} at which the loss is 1 nat"),
            exponent(power, "exponent", lo=1e-3),
        ),
        source=f"{_KAPLAN}, {equation}",
        units_needed=(resource,),
    )


def _batch(name: str, resource: str, sign: int, equation: str) -> Law:
    least, ratio = f"{resource}_min", "B_crit/B" if sign < 0 else "B/B_crit"
    return Law(
        name=name,
        formula=f"{resource} = {least} (1 + {ratio})",
        inputs=("B",),
        response=resource,
        params=(
            Param(
                name=least,
                meaning="the least that this loss costs",
                role="prefactor",
                lo=1e-9,
                hi=1e9,
                positive=True,
            ),
            position("B_crit", "critical batch size, in the unit of B"),
        ),
        form=joint.batch_tradeoff(sign),
        starts=joint.batch_starts,
        rescale=joint.batch_rescale,
        source=f"{_KAPLAN}, {equation}",
    )


def _broken(n_breaks: int) -> Law:
    params = [
        floor("a"),
        prefactor("b", "size of the first segment"),
        exponent("c0", "slope of the first segment", lo=-8, hi=8),
    ]
    for i in range(1, n_breaks + 1):
        params += [
            exponent(f"c{i}", f"change of slope at break {i}", lo=-8, hi=8),
            position(f"d{i}", f"place of break {i}"),
            width(f"f{i}", f"width of break {i} in logs", lo=0.02, hi=1.0),
        ]
    product = "" if n_breaks == 0 else f" prod_{{i=1..{n_breaks}}} (1 + (x/d_i)^(1/f_i))^(-c_i f_i)"
    return Law(
        name=f"bnsl-{n_breaks}",
        formula=f"y = a + b x^-c0{product}",
        inputs=("x",),
        params=tuple(params),
        form=curves.bnsl_form(n_breaks),
        starts=curves.bnsl_starts(n_breaks),
        rescale=curves.bnsl_rescale(n_breaks),
        source="Caballero et al. 2022, arXiv:2210.14891, eq. 1",
    )


def _finite(name: str, resource: str, cost: Param, n: str, *, data_limited: bool) -> Law:
    return Law(
        name=name,
        formula="L = E + Delta sum_(n<k<=n_tasks) k^-(alpha+1) / sum_(k<=n_tasks) k^-(alpha+1), "
        f"n = {n}",
        inputs=(resource,),
        params=(
            floor("E"),
            prefactor("Delta", "loss that learning everything removes"),
            exponent("alpha", "use frequencies p_k ~ k^-(alpha+1)"),
            cost,
            Param(
                name="n_tasks",
                meaning="number of tasks; identified only if the data reach it, else hold it",
                role="level",
                lo=2.0,
                hi=1e12,
                positive=True,
            ),
        ),
        form=joint.quanta_finite(data_limited),
        starts=joint.quanta_finite_starts(data_limited),
        rescale=joint.quanta_finite_rescale,
        source=f"{_QUANTA}, section 2, with the sum kept finite",
    )


_QUANTA_JOINT: Final[dict[str, Any]] = {
    "inputs": ("N", "D"),
    "params": (
        floor("E"),
        prefactor("A", "size of the capacity term"),
        prefactor("B", "size of the data term"),
        exponent("alpha", "use frequencies p_k ~ k^-(alpha+1)", hi=4.0),
    ),
    "units_needed": ("N", "D"),
    "order": (1.0, 1.0),
}

_CHINCHILLA: Final[dict[str, Any]] = {
    "inputs": ("N", "D"),
    "units_needed": ("N", "D"),
    "order": (1.0, 1.0),
}

_ROWS: Final = (
    _powers(
        Term(0, 1, (-1,)),
        axis=_ANY_SLOPE,
        name="power",
        formula="y = A x^-alpha",
        inputs=("x",),
        params=(prefactor("A", "response at x = 1"), exponent("alpha", "exponent", lo=-20, hi=20)),
        source="a straight line in logarithms",
    ),
    _powers(
        Term(0, -1, (0,)),
        Term(1, 2, (-1,)),
        axis=_STEEP,
        name="floor",
        formula="y = E + A x^-alpha",
        inputs=("x",),
        params=(
            floor("E"),
            prefactor("A", "reducible loss at x = 1"),
            exponent("alpha", "exponent"),
        ),
        source="Henighan et al. 2020, arXiv:2010.14701, eq. 1.1",
    ),
    Law(
        name="shifted",
        formula="y = E + A (x + s)^-alpha",
        inputs=("x",),
        params=(
            floor("E"),
            Param(
                name="A",
                meaning="size of the term",
                role="prefactor",
                lo=1e-9,
                hi=1e30,
                positive=True,
            ),
            exponent("alpha", "exponent"),
            position("s", "resource that the start is worth"),
        ),
        form=curves.shifted,
        starts=curves.shifted_starts,
        rescale=curves.shifted_rescale,
        source="Zhai et al. 2021, arXiv:2106.04560",
    ),
    Law(
        name="m4",
        formula="(y - E) / (L0 - y)^a = b x^-c",
        inputs=("x",),
        params=(
            floor("E"),
            prefactor("L0", "response before anything is learned"),
            exponent("a", "how long the start lasts", lo=0.02, hi=8),
            Param(
                name="b",
                meaning="size of the term",
                role="prefactor",
                lo=1e-20,
                hi=1e20,
                positive=True,
            ),
            exponent("c", "exponent", hi=8),
        ),
        form=curves.m4,
        starts=curves.m4_starts,
        rescale=curves.m4_rescale,
        source="Alabdulmohsin et al. 2022, arXiv:2209.06640",
    ),
    *[_broken(n) for n in range(4)],
    Law(
        name="logistic",
        formula="y = lo + (hi - lo) / (1 + (x0/x)^k)",
        inputs=("x",),
        params=(
            floor("lo", "level before"),
            prefactor("hi", "level after"),
            position("x0", "where half is learned"),
            Param(
                name="k",
                meaning="steepness per log x",
                role="exponent",
                lo=-200,
                hi=200,
                positive=False,
            ),
        ),
        response="score",
        form=curves.logistic,
        starts=curves.logistic_starts,
        rescale=curves.logistic_rescale,
        source="a logistic curve in log x",
    ),
    _kaplan("kaplan-N", "N", "Nc", "aN", "eq. 1.1"),
    _kaplan("kaplan-D", "D", "Dc", "aD", "eq. 1.2"),
    _kaplan("kaplan-C", "C", "Cc", "aC", "eq. 1.3"),
    Law(
        name="kaplan-ND",
        formula="L = ((Nc/N)^(aN/aD) + Dc/D)^aD",
        inputs=("N", "D"),
        params=(
            length("Nc", "size"),
            length("Dc", "data"),
            exponent("aN", "in N", hi=4),
            exponent("aD", "in D", hi=4),
        ),
        form=joint.kaplan_joint,
        starts=joint.kaplan_joint_starts,
        rescale=joint.kaplan_joint_rescale,
        source=f"{_KAPLAN}, eq. 1.5",
        units_needed=("N", "D"),
        order=(1.0, 1.0),
    ),
    _powers(
        Term(0, 2, (-1, 0), inside=True),
        Term(1, 3, (0, -1), inside=True),
        axis=_PAIRS,
        name="kaplan-NS",
        formula="L = (Nc/N)^aN + (Sc/S)^aS",
        inputs=("N", "S"),
        params=(
            length("Nc", "size"),
            length("Sc", "steps"),
            exponent("aN", "in N"),
            exponent("aS", "in S_min"),
        ),
        source=f"{_KAPLAN}, eq. 1.6 (S is S_min, see `minimum_steps`)",
        units_needed=("N", "S"),
        order=(1.0, 1.0),
    ),
    Law(
        name="critical-batch",
        formula="B = B_star L^(-1/aB)",
        inputs=("L",),
        response="B",
        params=(
            prefactor("B_star", "critical batch size at a loss of 1 nat"),
            exponent("aB", "exponent", lo=0.02),
        ),
        form=joint.critical_batch,
        starts=joint.critical_batch_starts,
        rescale=joint.critical_batch_rescale,
        source=f"{_KAPLAN}, eq. 1.4",
        units_needed=("L",),
        order=(-1.0,),  # the resource is the compute that a lower loss costs
    ),
    _batch("steps-batch", "S", -1, "eq. 5.4"),
    _batch("compute-batch", "C", 1, "eq. 5.5"),
    _powers(
        Term(0, -1, (0, 0)),
        Term(1, 3, (-1, 0)),
        Term(2, 4, (0, -1)),
        axis=_PAIRS,
        name="chinchilla",
        formula="L = E + A/N^alpha + B/D^beta",
        params=(
            floor("E"),
            prefactor("A", "size of the capacity term"),
            prefactor("B", "size of the data term"),
            exponent("alpha", "exponent in N"),
            exponent("beta", "exponent in D"),
        ),
        source="Hoffmann et al. 2022, arXiv:2203.15556, eq. 2",
        **_CHINCHILLA,
    ),
    _powers(
        Term(0, -1, (0, 0)),
        Term(1, 3, (-1, 0)),
        Term(2, 3, (0, -1)),
        axis=_STEEP,
        name="chinchilla-tied",
        formula="L = E + A/N^alpha + B/D^alpha",
        params=(
            floor("E"),
            prefactor("A", "size of the capacity term"),
            prefactor("B", "size of the data term"),
            exponent("alpha", "exponent in N and in D"),
        ),
        source="Hoffmann et al. 2022, arXiv:2203.15556, eq. 2 with one exponent",
        **_CHINCHILLA,
    ),
    _powers(
        Term(0, -1, (0, 0)),
        Term(1, 3, (-1, 1)),
        Term(2, 3, (-1, -1)),
        axis=_STEEP,
        name="overtraining",
        formula="L = E + (a M^eta + b M^-eta) C^-eta",
        inputs=("C", "M"),
        params=(
            floor("E"),
            prefactor("a", "cost of a small model"),
            prefactor("b", "cost of little data"),
            exponent("eta", "exponent in C"),
        ),
        source="Gadre et al. 2024, arXiv:2403.08540, eq. 4 (M = D/N)",
        units_needed=("C", "M"),
        order=(1.0, 0.0),
    ),
    Law(
        name="data-constrained",
        formula="L = E + A/N_eff^alpha + B/D_eff^beta, "
        "D_eff = U (1 + R_D (1 - exp((1 - D/U)/R_D))), N_eff alike with R_N and N_opt(U)",
        inputs=("N", "D", "U"),
        params=(
            floor("E"),
            prefactor("A", "size of the capacity term"),
            prefactor("B", "size of the data term"),
            exponent("alpha", "exponent in N"),
            exponent("beta", "exponent in D"),
            Param(
                name="R_D",
                meaning="repetitions after which data fade",
                role="position",
                lo=1e-2,
                hi=1e4,
                positive=True,
            ),
            Param(
                name="R_N",
                meaning="the same for excess parameters",
                role="position",
                lo=1e-2,
                hi=1e4,
                positive=True,
            ),
        ),
        form=sharing.data_constrained,
        starts=sharing.data_constrained_starts,
        rescale=sharing.data_constrained_rescale,
        source="Muennighoff et al. 2023, arXiv:2305.16264",
        units_needed=("N", "D", "U"),
        order=(1.0, 1.0, 0.0),
        one_unit=("D", "U"),
    ),
    Law(
        name="routing",
        formula="log L = a log N + b log E^ + c log N log E^ + d, "
        "1/E^ = 1/(E - 1 + 1/(1/E_start - 1/E_max)) + 1/E_max",
        inputs=("N", "E"),
        params=(
            real("a", "slope in log N", bound=20),
            real("b", "slope in log E^", bound=20),
            real("c", "interaction", bound=5),
            real("d", "level", bound=200),
            Param(
                name="E_start",
                meaning="experts that one is worth",
                role="position",
                lo=1.0,
                hi=100,
                positive=True,
            ),
            Param(
                name="E_max",
                meaning="experts that infinitely many are worth",
                role="position",
                lo=2,
                hi=1e6,
                positive=True,
            ),
        ),
        form=sharing.routing,
        starts=sharing.routing_starts,
        rescale=sharing.routing_rescale,
        source="Clark et al. 2022, arXiv:2202.01169",
        units_needed=("N",),
        order=(1.0, 0.0),
        unscaled=("E",),
    ),
    Law(
        name="quanta-max",
        formula="L = E + max(A N^-alpha, B D^(-alpha/(1+alpha)))",
        form=joint.quanta_max,
        starts=joint.quanta_max_starts,
        rescale=joint.quanta_max_rescale,
        source="Quantization Model, the scarcer resource decides (Michaud 2026, retrospective)",
        **_QUANTA_JOINT,
    ),
    Law(
        name="quanta-smooth",
        formula="L = E + (A/N + B/D^(1/(1+alpha)))^alpha",
        form=joint.quanta_smooth,
        starts=joint.quanta_smooth_starts,
        rescale=joint.quanta_smooth_rescale,
        source="Quantization Model, costs in both add up (Michaud 2026, retrospective)",
        **_QUANTA_JOINT,
    ),
    _finite(
        "quanta-finite-N",
        "N",
        position("C", "parameters a quantum needs"),
        "N/C",
        data_limited=False,
    ),
    _finite(
        "quanta-finite-D",
        "D",
        Param(
            name="tau",
            meaning="samples a quantum needs",
            role="position",
            lo=1e-20,
            hi=1e12,
            positive=True,
        ),
        "(D p_1/tau)^(1/(1+alpha))",
        data_limited=True,
    ),
)

LAWS: Final[dict[str, Law]] = {law.name: law for law in _ROWS}
"""Name -> law."""


def find_law(law: str | Law) -> Law:
    """Give the law of a name.

    Raises
    ------
    ValueError
        If there is no such law; the message lists those there are.
    """
    if isinstance(law, Law):
        return law
    if law not in LAWS:
        raise ValueError(f"law: {law!r} is unknown; allowed are {', '.join(LAWS)}")
    return LAWS[law]
