"""Loss in parameters and data at once: three ways to join two power laws, with their slopes.

The Quantization Model read naively says that the scarcer resource decides (max form). A smooth
form has both resources add up inside one outer exponent, as in Kaplan et al.; Chinchilla's adds two
laws with exponents of their own. Which one data prefer is for `quantascope.laws` to say.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from quantascope.theory.quanta import Floats, check_range
from quantascope.theory.resources import QuantaModel, leading_law, learned_quanta, predict_loss

__all__ = ["JointLoss", "chinchilla_form", "joint_loss", "max_form", "smooth_form"]


@dataclass(frozen=True, kw_only=True)
class JointLoss:
    """A loss and its slopes, each with the broadcast shape of N and D."""

    loss: Floats
    """[nat]"""
    dN: Floats  # noqa: N815  (symbol of the source)
    """Derivative in parameters [nat / parameter]."""
    dD: Floats  # noqa: N815  (symbol of the source)
    """Derivative in samples [nat / sample]."""


def joint_loss(model: QuantaModel, n_params: ArrayLike, n_samples: ArrayLike) -> Floats:
    """Mean loss with both resources scarce: the exact tail behind the smaller count of quanta.

    ``L = a + (b - a) sum_{k > min(n(N), n(D))} p_k``

    References
    ----------
    arXiv:2303.13506, section 2.
    """
    n, d = learned_quanta(model, "N", n_params), learned_quanta(model, "D", n_samples)
    by_params, by_samples = (
        predict_loss(model, "N", n_params),
        predict_loss(model, "D", n_samples),
    )
    return np.asarray(np.where(n <= d, by_params, by_samples))


def max_form(model: QuantaModel, n_params: ArrayLike, n_samples: ArrayLike) -> JointLoss:
    """Join the two leading power laws by their maximum.

    ``L = a + max(P_N N^-alpha, P_D D^-(alpha/(1+alpha)))``, which is the law of the smaller of
    ``N / C`` and ``(D / (tau Z))^(1/(1+alpha))``. On the ridge the slope in N is given.

    Parameters
    ----------
    model
        The assumptions; the laws are those of `leading_law`.
    n_params, n_samples
        N and D, > 0.
    """
    N, D = _resources(n_params, n_samples)
    (eN, pN), (eD, pD) = leading_law(model, "N"), leading_law(model, "D")
    by_params, by_samples = pN * N**-eN, pD * D**-eD
    scarce = by_params >= by_samples
    return JointLoss(
        loss=np.asarray(model.a + np.maximum(by_params, by_samples)),
        dN=np.asarray(np.where(scarce, -eN * by_params / N, 0.0)),
        dD=np.asarray(np.where(scarce, 0.0, -eD * by_samples / D)),
    )


def smooth_form(model: QuantaModel, n_params: ArrayLike, n_samples: ArrayLike) -> JointLoss:
    """Join the two leading power laws under one outer exponent.

    ``L = a + (A / N + B / D^(1/(1+alpha)))^alpha`` with A and B such that each limit is the law of
    its resource alone; the form of Kaplan et al., arXiv:2001.08361 equation 1.5, with these
    exponents.

    Parameters
    ----------
    model
        The assumptions; the cost of a quantum may drift, then the powers inside follow.
    n_params, n_samples
        N and D, > 0.
    """
    N, D = _resources(n_params, n_samples)
    (eN, pN), (eD, pD) = leading_law(model, "N"), leading_law(model, "D")
    outer = model.alpha + model.gain_drift
    inN, inD = (pN * N**-eN) ** (1 / outer), (pD * D**-eD) ** (1 / outer)
    both = inN + inD
    slope = both ** (outer - 1)
    return JointLoss(
        loss=np.asarray(model.a + both**outer),
        dN=np.asarray(-eN * slope * inN / N),
        dD=np.asarray(-eD * slope * inD / D),
    )


def chinchilla_form(
    n_params: ArrayLike,
    n_samples: ArrayLike,
    *,
    E: float,
    A: float,
    B: float,
    alpha_N: float,
    alpha_D: float,
) -> JointLoss:
    """Join two power laws by their sum.

    ``L = E + A N^-alpha_N + B D^-alpha_D``

    Parameters
    ----------
    n_params, n_samples
        N and D, > 0.
    E, A, B
        Floor and prefactors, >= 0 [nat at N = 1, D = 1].
    alpha_N, alpha_D
        Exponents, > 0.

    References
    ----------
    arXiv:2203.15556, equation 2.
    """
    N, D = _resources(n_params, n_samples)
    for name, value in (("E", E), ("A", A), ("B", B)):
        check_range(name, value, least=0)
    check_range("alpha_N", alpha_N, above=0)
    check_range("alpha_D", alpha_D, above=0)
    by_params, by_samples = A * N**-alpha_N, B * D**-alpha_D
    shape = np.broadcast_shapes(N.shape, D.shape)
    return JointLoss(
        loss=np.asarray(E + by_params + by_samples),
        dN=np.broadcast_to(-alpha_N * by_params / N, shape),
        dD=np.broadcast_to(-alpha_D * by_samples / D, shape),
    )


def _resources(n_params: ArrayLike, n_samples: ArrayLike) -> tuple[Floats, Floats]:
    return check_range("n_params", n_params, above=0), check_range("n_samples", n_samples, above=0)
