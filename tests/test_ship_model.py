"""data/ship_model.py lowers an adapter to the nearest of a lower rank, and to nothing else."""

import importlib.util

import pytest
import torch

from tests.conftest import ROOT
from vaner.training import run as training


@pytest.fixture(scope="module")
def ship_model():
    spec = importlib.util.spec_from_file_location("ship_model", ROOT / "data" / "ship_model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def trained(tiny_backbones, tmp_path_factory):
    words = ["--mix", "bc5cdr-sample", "--backbone", tiny_backbones["bert"], "--use_cpu", "true"]
    words += [
        "--cap",
        "7",
        "--max_steps",
        "3",
        "--batch_tokens",
        "700",
        "--max_tokens",
        "384",
        "--evaluations",
        "0",
    ]
    words += ["--lora_r", "6", "--lora_alpha", "12", "--dtype", "float32", "--learning_rate", "1e-2"]
    folder = tmp_path_factory.mktemp("ship") / "model"
    training.run([*words, "--output_dir", str(folder)])
    return str(folder)


def changes(model):
    """Name of each adapted layer -> what its adapter adds to the weights."""
    found = {}
    for name, module in model.backbone.named_modules():
        if hasattr(module, "get_delta_weight"):
            found[name] = module.get_delta_weight("default").detach()
    return found


@pytest.mark.filterwarnings("ignore:Converting a PEFT adapter")
@pytest.mark.parametrize("rank", [2, 6])
def test_the_adapter_becomes_the_nearest_of_its_rank(ship_model, trained, rank):
    before, after = (changes(ship_model.load(trained, one)) for one in (None, rank))
    assert before.keys() == after.keys() and before
    for name, change in before.items():
        u, s, v = torch.linalg.svd(change, full_matrices=False)
        nearest = u[:, :rank] * s[:rank] @ v[:rank]
        assert torch.allclose(after[name], nearest, atol=1e-5), name
    assert rank == 6 or any(not torch.allclose(before[name], after[name], atol=1e-5) for name in before)
