"""Linear layers and embeddings whose backward pass serves many cotangents at once.

A tap replaces the output of a layer by an equal one that remembers how to go back. Under
`torch.func.vmap` it meets the cotangents of K predictions as one array and gives, besides the
cotangent of its input, the gradient of each prediction multiplied by the input-side projection:
``projected_inputs.T @ cotangent``, (m, n_out). The whole weight gradient, (n_in, n_out), is never
formed and no cotangent is kept.

Cotangents that live on a single row (those of the last block, behind its attention: a prediction
reads its own position only) are found by looking and treated as rows.
"""

from typing import Any

import torch

__all__ = ["ActivationTap", "EmbeddingTap", "LinearTap", "single_rows"]


def single_rows(cotangents: torch.Tensor) -> torch.Tensor | None:
    """Find the one row on which each cotangent lives.

    Parameters
    ----------
    cotangents
        Shape (K, T, n); the last one reaches back to the first row unless it is a single row.

    Returns
    -------
    torch.Tensor or None
        Row of each cotangent, shape (K,), or None where any lives on several rows.
    """
    if cotangents.shape[1] == 1 or bool(cotangents[-1, 0].any()):
        return None  # the usual case, settled by one row
    alive = cotangents.ne(0).any(dim=-1)
    if bool((alive.sum(dim=1) > 1).any()):
        return None
    return alive.int().argmax(dim=1)


class LinearTap(torch.autograd.Function):
    """Equal to `output`; backward gives the cotangent of `inputs` and the projected gradient."""

    @staticmethod
    def forward(  # noqa: PLR0917 - autograd passes arguments by position
        ctx: Any,
        inputs: torch.Tensor,
        sketch: torch.Tensor,
        output: torch.Tensor,
        matrix: torch.Tensor,
        projected_inputs: torch.Tensor,
    ) -> torch.Tensor:
        """Pass `output` on; `sketch` is a dummy whose gradient is the projected gradient."""
        del sketch
        ctx.save_for_backward(matrix, projected_inputs)
        ctx.wants_inputs = inputs.requires_grad
        return output.view_as(output)

    @staticmethod
    def backward(ctx: Any, cotangent: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Pull the cotangent back; under vmap this is one call for all predictions."""
        matrix, projected_inputs = ctx.saved_tensors
        down, gradient = _LinearPullback.apply(
            cotangent, matrix if ctx.wants_inputs else None, projected_inputs
        )
        return down, gradient, None, None, None


class _LinearPullback(torch.autograd.Function):
    @staticmethod
    def forward(
        cotangent: torch.Tensor, matrix: torch.Tensor | None, projected: torch.Tensor
    ) -> tuple[torch.Tensor | None, torch.Tensor]:
        down, gradient = _pull_linear(cotangent[None], matrix, projected)
        return None if down is None else down[0], gradient[0]

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Nothing is kept: no second derivative is taken."""

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, ...], *args: torch.Tensor
    ) -> tuple[tuple[torch.Tensor | None, torch.Tensor], tuple[int | None, int]]:
        del info, in_dims  # the cotangent alone is batched, along axis 0
        down, gradient = _pull_linear(*args)
        return (down, gradient), (None if down is None else 0, 0)


def _pull_linear(
    cotangents: torch.Tensor, matrix: torch.Tensor | None, projected: torch.Tensor
) -> tuple[torch.Tensor | None, torch.Tensor]:
    """Cotangents (K, ..., n_out) to those of the inputs and to gradients (K, m, n_out)."""
    flat = cotangents.flatten(1, -2)
    rows = single_rows(flat)
    if rows is None:
        down = None if matrix is None else cotangents @ matrix
        return down, torch.bmm(projected.T.expand(len(flat), -1, -1), flat)
    each = torch.arange(len(flat), device=flat.device)
    alive = flat[each, rows]
    gradient = projected[rows][:, :, None] * alive[:, None, :]
    if matrix is None:
        return None, gradient
    below = flat.new_zeros(*flat.shape[:2], matrix.shape[1])
    below[each, rows] = alive @ matrix
    return below.view(*cotangents.shape[:-1], -1), gradient


class EmbeddingTap(torch.autograd.Function):
    """Equal to `output`, the rows of an embedding; backward gives its projected gradient."""

    @staticmethod
    def forward(  # noqa: PLR0917 - autograd passes arguments by position
        ctx: Any,
        sketch: torch.Tensor,
        output: torch.Tensor,
        input_ids: torch.Tensor,
        projection: torch.Tensor,
        weights: torch.Tensor,
    ) -> torch.Tensor:
        """Pass `output` on; `sketch` is a dummy of shape (m, n_vocabulary)."""
        ctx.save_for_backward(input_ids, projection, weights)
        ctx.n_vocabulary = sketch.shape[1]
        return output.view_as(output)

    @staticmethod
    def backward(ctx: Any, cotangent: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Project each row's cotangent and add it to the column of its token."""
        input_ids, projection, weights = ctx.saved_tensors
        rows = (cotangent @ projection).flatten(0, -2) * weights[:, None]
        empty = rows.new_zeros(rows.shape[1], ctx.n_vocabulary)
        return empty.index_add(1, input_ids, rows.T), None, None, None, None


class ActivationTap(torch.autograd.Function):
    """Equal to `output`, an elementwise function of `inputs` whose slope is computed once."""

    @staticmethod
    def forward(
        ctx: Any, inputs: torch.Tensor, output: torch.Tensor, slope: torch.Tensor
    ) -> torch.Tensor:
        """Pass `output` on; `slope` is the derivative at each element."""
        del inputs
        ctx.save_for_backward(slope)
        return output.view_as(output)

    @staticmethod
    def backward(ctx: Any, cotangent: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Multiply by the slope, which all cotangents share."""
        return cotangent * ctx.saved_tensors[0], None, None
