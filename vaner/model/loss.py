"""In: scores of O, B, I, labels, what a teacher says of the same words. Out: the loss, summed.

    labels alone       cross-entropy
    a teacher's too    (1 - share) * cross-entropy + share * T^2 * KL(teacher at T || student at T)

T^2 keeps the size of the gradients as it is at any temperature (Hinton et al. 2015, arXiv:1503.02531).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from vaner.text.tags import IGNORED


@dataclass(frozen=True)
class Teaching:
    """How much of the loss is a teacher's, where it says something.

    Attributes:
        share: of the loss, in [0, 1]; the rest is that of the labels.
        temperature: at which both distributions are compared, above 0.
    """

    share: float = 0.0
    temperature: float = 1.0


def summed(
    scores: torch.Tensor,
    labels: torch.Tensor,
    taught: torch.Tensor | None = None,
    label_weights: torch.Tensor | None = None,
    teaching: Teaching | None = None,
) -> torch.Tensor:
    """The loss of every label that counts, summed.

    Args:
        scores: float32 ``(rows, types, words, 3)``.
        labels: ``(rows, types, words)`` of O, B, I or IGNORED; nothing is learnt where they are IGNORED.
        taught: ``(rows, types, words, 2)``: by how much the teacher finds B and I more likely than O, as logarithms;
            NaN where it says nothing, and the labels alone count.
        label_weights: ``(rows, types, words)``, what each label counts.
        teaching: how much of the loss is the teacher's; none of it without.
    """
    rows, targets = scores.flatten(0, 2), labels.flatten()
    if label_weights is None and (taught is None or teaching is None):
        return F.cross_entropy(rows, targets, ignore_index=IGNORED, reduction="sum")
    each = F.cross_entropy(rows, targets, ignore_index=IGNORED, reduction="none")
    if label_weights is not None:
        each = each * label_weights.flatten()
    if taught is None or teaching is None:
        return each.sum()
    logits = torch.cat([torch.zeros_like(taught[..., :1]), taught], dim=-1).flatten(0, 2)
    told = ~logits.isnan().any(-1) & (targets != IGNORED)
    t = teaching.temperature
    apart = F.kl_div(
        (rows[told] / t).log_softmax(-1),
        (logits[told].to(rows.dtype) / t).log_softmax(-1),
        reduction="sum",
        log_target=True,
    )
    return (each * (1 - teaching.share * told.to(each.dtype))).sum() + teaching.share * t * t * apart
