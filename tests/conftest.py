"""In: nothing but what the repository ships. Out: tiny random models of every family, and where real data lies."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# A loaded machine is no failure.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

# The tests are many small forwards; more threads would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "data" / "samples"
BENCHMARKS = ROOT / "benchmarks"

# Files whose slow tests take half a minute or more, the longest first: `make test-slow` begins with them, so that its
# processes end at about the same time.
LONG = (
    "training/test_sharded.py",
    "tagging/test_shipped_model.py",
    "jobs/test_ray.py",
    "test_benchmarks.py",
    "test_examples.py",
    "docs/test_blocks.py",
    "cli/test_annotate.py",
    "jobs/test_shipped_model.py",
    "cli/test_distil.py",
    "training/test_configs.py",
    "formats/test_every_corpus.py",
    "training/test_flags.py",
    "corpora/test_origin.py",
    "cli/test_predict_prompted.py",
    "tagging/test_heap.py",
    "test_annotation_benchmark.py",
    "jobs/test_faults.py",
    "jobs/test_ranks.py",
)

# Names of a miniature vocabulary: id, name, types, whether it is the preferred one.
TERMS = [
    ("D1", "Breast Neoplasms", ("Disease",), True),
    ("D1", "breast cancer", ("Disease",), False),
    ("D1", "Cancer of Breast", ("Disease",), False),
    ("D2", "Alzheimer's disease", ("Disease",), True),
    ("D3", "Abdomen, Acute", ("Disease",), True),
    ("D4", "adenomatous polyposis coli", ("Disease",), True),
    ("D5", "cancer", ("Disease",), True),
    ("A1", "Breast", ("Anatomy",), True),
    ("G1", "TNF", ("Gene",), True),
    ("G1", "TNF-alpha", ("Gene",), False),
    ("G2", "APC", ("Gene",), True),
    ("G3", "CAT", ("Gene",), True),
    ("G3", "catalase", ("Gene",), False),
    ("S1", "cat", ("Species",), True),
    ("C1", "insulin", ("Chemical", "Gene"), True),
    ("C2", "1,2-dichloroethane", ("Chemical",), True),
    ("X1", "12", ("Chemical",), True),
    ("X2", "was", ("Gene",), True),
]


def pytest_collection_modifyitems(items):
    places = {ROOT / "tests" / name: place for place, name in enumerate(LONG)}
    if gone := [str(path.relative_to(ROOT)) for path in places if not path.is_file()]:
        raise pytest.UsageError(f"tests/conftest.py: LONG names files that are gone: {', '.join(gone)}")
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture(scope="session")
def corpora_root() -> Path:
    """The folder of the real corpora, VANER_DATA; without it the test skips."""
    root = os.environ.get("VANER_DATA")
    if not root or not Path(root).is_dir():
        pytest.skip("VANER_DATA names no folder of corpora")
    return Path(root)


@pytest.fixture(scope="session")
def tiny_tokenizer():
    """A byte-level BPE tokenizer of 600 tokens, trained on a sample corpus."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    text = (SAMPLES / "abstracts.pubtator").read_text(encoding="utf-8")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=["<pad>", "<s>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(text.splitlines(), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>")


def _configs():
    from transformers import BertConfig, LlamaConfig, MistralConfig, Qwen2Config

    decoder = dict(
        vocab_size=600,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        pad_token_id=0,
        initializer_range=0.2,
    )
    return {
        "llama": LlamaConfig(**decoder),
        # 4-bit blocks hold 64 weights, so no matrix may be narrower.
        "llama-wide": LlamaConfig(**decoder | {"hidden_size": 64, "intermediate_size": 128}),
        "mistral": MistralConfig(**decoder, sliding_window=None),
        "qwen2": Qwen2Config(**decoder),
        "bert": BertConfig(
            vocab_size=600,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=512,
            pad_token_id=0,
            initializer_range=0.2,
        ),
    }


@pytest.fixture(scope="session")
def tiny_backbones(tmp_path_factory, tiny_tokenizer) -> dict[str, str]:
    """Folders of random two-layer backbones: llama, llama-wide, mistral, qwen2, bert."""
    import torch
    from transformers import AutoModel

    folders = {}
    for name, config in _configs().items():
        folder = tmp_path_factory.mktemp("backbones") / name
        torch.manual_seed(0)
        AutoModel.from_config(config).eval().save_pretrained(folder)
        tiny_tokenizer.save_pretrained(folder)
        folders[name] = str(folder)
    return folders


@pytest.fixture(autouse=True)
def threads_as_they_were():
    """What a worker of a corpus run does to its process is undone where a test runs it in this one."""
    yield
    if (threads := sys.modules.get("vaner.tagging.threads")) is not None:
        threads.alone.clear()


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    """Hashes of the tests' models do not go to the user's cache; the backbone there is still found."""

    from vaner.files import cache_folder

    real = cache_folder()
    own = tmp_path_factory.mktemp("cache")
    if (real / "backbones").is_dir():
        (own / "backbones").symlink_to(real / "backbones")
    before = os.environ.get("VANER_CACHE")
    os.environ["VANER_CACHE"] = str(own)
    yield
    if before is None:
        del os.environ["VANER_CACHE"]
    else:
        os.environ["VANER_CACHE"] = before


@pytest.fixture(scope="session")
def reference():
    """The module benchmarks/reference.py: the slow matcher that the index is compared with."""
    spec = importlib.util.spec_from_file_location("reference", ROOT / "benchmarks" / "reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def make_kb(tmp_path):
    """Compiles terms, with the project's rules unless told otherwise."""

    from vaner.files import shipped
    from vaner.knowledge import Rules, build
    from vaner.report import Report
    from vaner.vocabularies.terms import Term

    def make(terms=None, rules=None, name="kb.idx", source="test", report=None):
        terms = [Term(*one) for one in TERMS] if terms is None else terms
        rules = rules or Rules.load(shipped("kb"))
        return build(tmp_path / name, [({"name": source}, terms)], rules, report or Report())

    return make


@pytest.fixture
def kb(make_kb):
    """An index of TERMS."""
    return make_kb()


@pytest.fixture
def make(tmp_path):
    """Writes a file and returns its path."""

    def make(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


@pytest.fixture(scope="session")
def kb_root() -> Path:
    """The folder of real vocabularies, VANER_KB; without it the test skips."""
    root = os.environ.get("VANER_KB")
    if not root or not Path(root).is_dir():
        pytest.skip("VANER_KB names no folder of vocabularies")
    return Path(root)


@pytest.fixture(scope="module")
def benchmark():
    """A benchmark's module by its name; the scripts import their neighbours by bare names."""
    before = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        yield importlib.import_module
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "").parent == BENCHMARKS:
            del sys.modules[name]
