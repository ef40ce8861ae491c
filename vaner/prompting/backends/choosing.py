"""In: logits of the tokens that may come next. Out: the one that comes, and its log-probability."""

from __future__ import annotations

import hashlib

import torch

from vaner.prompting.request import Sampling


def generator(sampling: Sampling, repeat: int) -> torch.Generator:
    """Draws of one request: they depend on its seed and its repeat alone, not on who else is read beside it."""
    digest = hashlib.sha256(f"{sampling.seed or 0} {repeat}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def choose(logits: torch.Tensor, sampling: Sampling, draws: torch.Generator) -> tuple[int, float]:
    """One token.

    Args:
        logits: float32 ``(tokens,)``, of all that may come.
        sampling: temperature and top_p; its seed is in ``draws``.
        draws: one number is drawn for each token, unless the temperature is 0.

    Returns:
        its number among the logits, and its log-probability among them at temperature 1.
    """
    logits = logits.cpu()
    if sampling.temperature == 0:
        number = int(logits.argmax())
    else:
        shares, order = torch.softmax(logits.double() / sampling.temperature, -1).sort(
            descending=True, stable=True
        )
        mass = shares.cumsum(-1)
        nucleus = int((mass - shares < sampling.top_p).sum().clamp(min=1))
        drawn = torch.rand((), generator=draws, dtype=torch.float64) * mass[nucleus - 1]
        place = int(torch.searchsorted(mass[:nucleus], drawn, right=True).clamp(max=nucleus - 1))
        number = int(order[place])
    return number, float(torch.log_softmax(logits, -1)[number])
