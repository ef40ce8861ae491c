"""Shared by the tests of tagging: a tiny random tagger that marks about as much as a trained one; abstracts."""

import dataclasses

import pytest
import torch

from tests.model.test_network import build
from vaner.formats import read
from vaner.tagging.labeler import Vaner


@pytest.fixture(scope="module")
def tagger(tiny_backbones, tiny_tokenizer):
    model = build(tiny_backbones["llama"])
    model.settings = dataclasses.replace(
        model.settings, datasets={"bc5cdr": ["Chemical", "Disease"]}, max_words=40
    )
    # A random head should mark about as much as a trained one, or nothing is compared.
    with torch.no_grad():
        model.head.word_bias.bias.copy_(torch.tensor([0.6, 0.0, 0.0]))
    return Vaner(model, tiny_tokenizer, batch_tokens=600)


@pytest.fixture(scope="module")
def documents():
    from tests.conftest import SAMPLES

    return list(read(SAMPLES / "abstracts.pubtator"))[:8]


def keys(spans):
    return [(s.start, s.end, s.type) for s in spans]
