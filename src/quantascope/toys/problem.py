"""What the stacked trainer asks of a small world: many networks at once behind one interface.

Parameters of all networks (members) lie in a few large arrays; how they lie there is the world's
own affair. The trainer only needs gradients, a way to spread one number a member over them, an
evaluation, and a way to leave out members that have finished.
"""

from collections.abc import Mapping
from typing import Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["Measured", "Params", "Problem"]

Params = dict[str, torch.Tensor]
"""Arrays by name: parameters, gradients, moments, all of the same shapes."""

Measured = Mapping[str, NDArray[Any]]
"""What an evaluation found, by name; the first axis is ``member``."""


class Problem(Protocol):
    """A stack of networks with their data."""

    @property
    def n_members(self) -> int:
        """Networks in the stack."""
        ...

    def start(self) -> Params:
        """Give the initial parameters; a member's do not depend on the others."""
        ...

    def gradients(self, params: Params, step: int) -> Params:
        """Give the gradient of every member's own mean loss on its batch of a step, from 0."""
        ...

    def spread(self, values: NDArray[np.float64]) -> Params:
        """Spread one number a member to arrays that broadcast against the parameters."""
        ...

    def evaluate(self, params: Params) -> Measured:
        """Measure every member on its fixed test set."""
        ...

    def keep(self, members: NDArray[np.bool_]) -> tuple[Self, NDArray[np.intp]]:
        """Leave out members.

        Parameters
        ----------
        members
            Which to keep, axis ``member``; at least one.

        Returns
        -------
        Problem
            A smaller stack; it may hold more than was asked for where the layout demands it.
        NDArray[np.intp]
            Place in the old stack of each member of the new one.
        """
        ...

    def select(self, arrays: Params, members: NDArray[np.intp]) -> Params:
        """Cut the arrays of this stack down to the members that `keep` gave."""
        ...
