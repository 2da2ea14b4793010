"""Processes: the same training on several processors or machines, each with its rows of every batch.

``torchrun --nproc-per-node 2 script.py`` starts the script twice; with one process everything here does nothing.
Source: Li et al. 2020 (arXiv 2006.15704), *PyTorch Distributed*.
"""

import atexit
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


class Processes:
    """Those that train together: this one alone, unless torchrun started several.

    Attributes:
        rank: the number of this process, from 0.
        size: how many there are.
    """

    def __init__(self, device: torch.device):
        gpu = device.type == "cuda"
        if dist.is_available() and dist.is_torchelastic_launched() and not dist.is_initialized():
            if gpu:
                torch.cuda.set_device(device)
            dist.init_process_group("nccl" if gpu else "gloo")
            atexit.register(dist.destroy_process_group)
        together = dist.is_available() and dist.is_initialized()
        self.rank, self.size = (dist.get_rank(), dist.get_world_size()) if together else (0, 1)
        self.device = device

    def wrap(self, module: nn.Module) -> nn.Module:
        """The same module, but its backward pass averages the gradients over the processes."""
        if self.size == 1:
            return module
        # "Static" as every step uses the same parameters; then it is no error that some are never used.
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(module, devices, static_graph=True)

    def own_rows(self, batch: Any, part: int = 0, parts: int = 1) -> Any:
        """This process's rows of a batch, on its device: of N processes, number r takes the rows r, r + N, r + 2N, …

        If each process reads its rows in several `parts`, one after the other, these are divided in the same way.
        """
        if isinstance(batch, Tensor):
            shares, own = self.size * parts, self.rank + self.size * part
            if shares > 1 and (batch.dim() == 0 or len(batch) < shares):
                raise ValueError(
                    f"{self.size} processes with {parts} parts each cannot share a tensor of shape "
                    f"{tuple(batch.shape)}: every tensor of a batch needs one row for each example, and there must be "
                    "an example for each process and part; take a larger batch or fewer of them"
                )
            return (batch[own::shares] if shares > 1 else batch).to(self.device)
        if isinstance(batch, Mapping):
            return {key: self.own_rows(value, part, parts) for key, value in batch.items()}
        if isinstance(batch, tuple | list):
            values = [self.own_rows(value, part, parts) for value in batch]
            return type(batch)(*values) if hasattr(batch, "_fields") else type(batch)(values)
        return batch

    def sum(self, *numbers: Tensor | float) -> list[float]:
        """Each of the numbers, added up over the processes."""
        if self.size == 1:
            return [torch.as_tensor(number).item() for number in numbers]
        total = torch.stack([torch.as_tensor(number, device=self.device).detach().double() for number in numbers])
        dist.all_reduce(total)
        return total.tolist()

    def from_first(self, make: Callable[[], Any]) -> Any:
        """What `make()` returns in the first process, for all."""
        if self.size == 1:
            return make()
        box = [make() if self.rank == 0 else None]
        dist.broadcast_object_list(box)
        return box[0]
