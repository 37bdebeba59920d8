"""Networks of a stack as ordinary PyTorch modules, for discovery and for saving."""

import torch
from torch import nn

from quantascope.toys.parity import ParityTask
from quantascope.toys.problem import Params

__all__ = ["parity_inputs", "parity_module"]


def parity_module(task: ParityTask, params: Params, *, place: int, hidden: slice) -> nn.Sequential:
    """Give one parity network as the paper writes it.

    Parameters
    ----------
    task
        Its subtasks.
    params
        Of a `ParityStack`.
    place
        Which stream of the stack.
    hidden
        Its units along the hidden axis.

    Returns
    -------
    nn.Sequential
        ``Linear(n_tasks + n, width)``, ReLU, ``Linear(width, 2)``: it reads control bits, then task
        bits, as `parity_inputs` gives them.
    """
    control = params["control"][place, :, hidden]
    bits = params["bits"][place, : task.n, hidden]
    readout = params["readout"][place, hidden]
    first, second = nn.Linear(task.n_tasks + task.n, readout.shape[0]), nn.Linear(*readout.shape)
    first.weight.data = torch.cat([control, bits]).T.contiguous()
    first.bias.data = params["bias"][place, 0, hidden].clone()
    second.weight.data = readout.T.contiguous()
    return nn.Sequential(first, nn.ReLU(), second)


def parity_inputs(task: ParityTask, subtask: torch.Tensor, bits: torch.Tensor) -> torch.Tensor:
    """Write samples as the network's inputs.

    Parameters
    ----------
    task
        Its subtasks.
    subtask
        Active subtask from 0, axis ``sample``.
    bits
        Task bits 0 or 1, axes ``(sample, n)``.

    Returns
    -------
    torch.Tensor
        Control bits, then task bits; float32, axes ``(sample, input)``.
    """
    control = nn.functional.one_hot(subtask, task.n_tasks)
    return torch.cat([control.float(), bits.float()], dim=1)
