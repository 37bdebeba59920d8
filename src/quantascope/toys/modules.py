"""Networks of a stack as ordinary PyTorch modules, for discovery and for saving."""

import torch
from torch import nn

from quantascope.toys.parity import ParityTask
from quantascope.toys.parity_net import ParityStack
from quantascope.toys.problem import Params

__all__ = ["parity_inputs", "parity_module"]


def parity_module(
    stack: ParityStack, params: Params, *, place: int = 0, member: int = 0
) -> nn.Sequential:
    """Give one parity network as the paper writes it.

    Parameters
    ----------
    stack, params
        The stack and its parameters.
    place
        Which stream of the stack.
    member
        Which of its networks.

    Returns
    -------
    nn.Sequential
        ``Linear(n_tasks + n, width)``, ReLU, ``Linear(width, 2)``, on the CPU: it reads control
        bits, then task bits, as `parity_inputs` gives them.
    """
    begin = sum(stack.widths[:member])
    hidden = slice(begin, begin + stack.widths[member])
    n = stack.streams[place].task.n
    values = {name: value[place].float().cpu() for name, value in params.items()}
    first_weight = torch.cat([values["control"][:, hidden], values["bits"][:n, hidden]])
    readout = values["readout"][hidden]
    first, second = nn.Linear(*first_weight.shape), nn.Linear(*readout.shape)
    first.weight.data, first.bias.data = first_weight.T.contiguous(), values["bias"][0, hidden]
    second.weight.data, second.bias.data = readout.T.contiguous(), values["offset"][member]
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
