"""In: a model's trained weights after each update. Out: their mean over the last stretch of a run, in their place.

    0 ------------------------------|===================> 1      share of the way
      dev: the weights as they are     dev, best, the end: the mean of the weights after each of these updates

Training itself goes on from the weights as they are. (Stochastic weight averaging: Izmailov et al. 2018,
arXiv:1803.05407.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_swa_multi_avg_fn

from vaner.errors import VanerError

FILE = "averaged.safetensors"
_COUNT = "updates"


class Averaging:
    """The mean of a model's trained weights.

    Args:
        parameters: that are trained, in an order that stays the same.
        last: share of the run, at its end, of which the mean is; 0 for none.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], last: float) -> None:
        self.last = last
        self._weights = nn.ParameterList(parameters)
        self._mean: AveragedModel | None = None

    @property
    def updates(self) -> int:
        """After how many updates the weights were added so far."""
        return 0 if self._mean is None else int(self._mean.n_averaged)

    def add(self, share: float) -> None:
        """Add the weights as they are now, where the last stretch has begun.

        Args:
            share: of the way, after the update.
        """
        # An update that ends where the stretch begins is not of it.
        if self.last and share > 1 - self.last + 1e-9:
            self._begun().update_parameters(self._weights)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Meanwhile the model has the mean, where there is one."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def settle(self) -> None:
        """Leave the mean in the model for good, where there is one."""
        self._swap()
        self._mean = None

    def save(self, folder: Path) -> None:
        """Write the mean so far into a checkpoint; nothing before the stretch has begun."""
        if self._mean is None:
            return
        tensors = {str(i): one.detach().contiguous() for i, one in enumerate(_weights(self._mean))}
        save_file({**tensors, _COUNT: self._mean.n_averaged}, folder / FILE)

    def load(self, folder: Path) -> None:
        """Take up what `save` wrote, if it did.

        Raises:
            VanerError: the file is of another model.
        """
        if not (path := folder / FILE).is_file():
            return
        tensors = load_file(path)
        updates = tensors.pop(_COUNT)
        if {name: one.shape for name, one in tensors.items()} != {
            str(i): one.shape for i, one in enumerate(self._weights)
        }:
            raise VanerError(f"{path}: holds the mean of other weights; resume from a checkpoint of this run")
        mean = self._begun()
        mean.n_averaged.copy_(updates)
        with torch.no_grad():
            for i, one in enumerate(_weights(mean)):
                one.copy_(tensors[str(i)])

    def _begun(self) -> AveragedModel:
        if self._mean is None:
            self._mean = AveragedModel(self._weights, multi_avg_fn=get_swa_multi_avg_fn())
        return self._mean

    def _swap(self) -> None:
        if self._mean is None:
            return
        # Values, not tensors: an optimiser may hold the weights as parts of one of its own.
        with torch.no_grad():
            for weight, mean in zip(self._weights, _weights(self._mean), strict=True):
                kept = weight.clone()
                weight.copy_(mean)
                mean.copy_(kept)


def _weights(mean: AveragedModel) -> nn.ParameterList:
    return cast("nn.ParameterList", mean.module)
