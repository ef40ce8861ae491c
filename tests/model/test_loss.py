"""In: scores, labels, a teacher's scores. Out: the loss, beside one that is computed word by word in plain Python."""

from __future__ import annotations

import math

import pytest
import torch

from vaner.model.loss import Teaching, summed
from vaner.text.tags import IGNORED, B, I, O


def softmax(numbers, temperature=1.0):
    powers = [math.exp(number / temperature) for number in numbers]
    return [power / sum(powers) for power in powers]


def slowly(scores, labels, taught, weights, teaching):
    """One word and type after the other, with probabilities."""
    total = 0.0
    for place in torch.ones(labels.shape).nonzero().tolist():
        at = tuple(place)
        if labels[at] == IGNORED:
            continue
        student = scores[at].tolist()
        entropy = -math.log(softmax(student)[labels[at]]) * (1.0 if weights is None else float(weights[at]))
        if taught is None or teaching is None or any(math.isnan(x) for x in taught[at].tolist()):
            total += entropy
            continue
        t = teaching.temperature
        said = softmax([0.0, *taught[at].tolist()], t)
        answered = softmax(student, t)
        apart = sum(p * math.log(p / q) for p, q in zip(said, answered, strict=True) if p > 0)
        total += (1 - teaching.share) * entropy + teaching.share * t * t * apart
    return total


@pytest.fixture
def batch():
    draw = torch.Generator().manual_seed(3)
    scores = torch.randn(2, 3, 7, 3, generator=draw, dtype=torch.float64)
    labels = torch.randint(0, 3, (2, 3, 7), generator=draw)
    labels[0, :, 5:] = IGNORED
    labels[1, 2] = IGNORED
    taught = 4 * torch.randn(2, 3, 7, 2, generator=draw, dtype=torch.float64)
    taught[0, 1] = math.nan
    taught[0, :, 5:] = math.nan
    weights = torch.rand(2, 3, 7, generator=draw, dtype=torch.float64)
    return scores, labels, taught, weights


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "teaching", [None, Teaching(0.0), Teaching(0.3), Teaching(1.0, 2.0), Teaching(0.7, 0.5)]
)
def test_the_loss_is_that_of_the_formula(batch, teaching, weighted):
    scores, labels, taught, weights = batch
    weights = weights if weighted else None
    found = summed(scores, labels, taught, weights, teaching)
    assert float(found) == pytest.approx(slowly(scores, labels, taught, weights, teaching), rel=1e-9)


def test_without_a_teacher_it_is_cross_entropy(batch):
    scores, labels, *_ = batch
    plain = torch.nn.functional.cross_entropy(
        scores.flatten(0, 2), labels.flatten(), ignore_index=IGNORED, reduction="sum"
    )
    assert torch.equal(summed(scores, labels), plain)


def test_a_student_that_says_what_its_teacher_says_has_nothing_to_learn(batch):
    _, labels, taught, _ = batch
    taught = taught.nan_to_num(0.0)
    same = torch.cat([torch.zeros_like(taught[..., :1]), taught], -1).requires_grad_()
    loss = summed(same + 5.0, labels, taught, None, Teaching(1.0, 3.0))
    (gradient,) = torch.autograd.grad(loss, same)
    assert abs(float(loss.detach())) < 1e-9 and gradient.abs().max() < 1e-9


def test_what_is_ignored_teaches_nothing_even_if_the_teacher_knows_it(batch):
    scores, labels, taught, _ = batch
    scores = scores.requires_grad_()
    (gradient,) = torch.autograd.grad(
        summed(scores, labels, taught.nan_to_num(1.0), None, Teaching(0.5)), scores
    )
    assert not gradient[labels == IGNORED].any() and gradient[labels != IGNORED].any(-1).all()


def test_a_teacher_that_is_certain_gives_no_infinite_loss():
    labels = torch.tensor([[[O, B, I]]])
    taught = torch.tensor([[[[-60_000.0, -60_000.0], [60_000.0, 0.0], [0.0, 60_000.0]]]])
    scores = torch.zeros(1, 1, 3, 3, requires_grad=True)
    loss = summed(scores, labels, taught, None, Teaching(1.0))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(3 * math.log(3), rel=1e-5) and scores.grad.isfinite().all()
