"""In: the name of a tagger, options. Out: the Tagger.

name                      tagger
runs/mine                 the labeler in a folder that training wrote
vaner-smollm2-135m        the labeler that ships under this name
owner/name                the labeler in a hub repository
kb:names.kb               the dictionary of an index; kb:open of the vocabulary that vaner ships
prompt:few-shot.yaml      a language model that is asked in words, as the file says; also in a folder of `train.py
                          --head generate`, which needs no prefix
annotate:plan.yaml        annotators and verifiers, as a plan of `python -m vaner annotate` has them
prefix:...                what another room registered under that prefix (`register`)
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from vaner.errors import VanerError, near
from vaner.knowledge import DictionaryTagger, KnowledgeBase
from vaner.knowledge.shipped import needed_index
from vaner.model.config import GENERATOR_NAME
from vaner.tagger import Tagger

if TYPE_CHECKING:
    from typing_extensions import Unpack

_PREFIX = re.compile(r"([a-z][a-z0-9_]+):(.*)", re.DOTALL)


class Options(TypedDict, total=False):
    """Options of taggers; which of them one takes is its own affair. The labeler's are explained at `vaner.Vaner`."""

    dtype: str | None
    device: str | None
    quantization: str | None
    revision: str | None
    batch_tokens: int | None
    decoding: str | None
    flat: bool | None
    max_words: int | None
    allow_new_types: bool | None
    hints: KnowledgeBase | str | PathLike | None
    kb: KnowledgeBase | str | PathLike | None
    calibrated: bool | None
    word_scores: bool | None
    repeats: bool | None


class AllOptions(Options, total=False):
    """Those and the options of prompted taggers, which `vaner.tagging.prompted.PromptedTagger` explains."""

    on_failed: str | None
    dry_run: bool | None
    show_prompt: int | None


def _labeler(name: str, **options: Unpack[Options]) -> Tagger:
    # Here, so that a dictionary is loaded without torch.
    from vaner.tagging.labeler import Vaner

    return Vaner.from_pretrained(name, **options)  # type: ignore[arg-type]  # None is left out by load


def _dictionary(name: str) -> Tagger:
    return DictionaryTagger(needed_index(name))


def _prompted(
    path: str,
    dtype: str | None = None,
    device: str | None = None,
    quantization: str | None = None,
    revision: str | None = None,
    batch_tokens: int | None = None,
    max_words: int | None = None,
    allow_new_types: bool | None = None,
    on_failed: str = "raise",
    dry_run: bool = False,
    show_prompt: int = 0,
) -> Tagger:
    from vaner.tagging.prompted import PromptedTagger

    return PromptedTagger.from_file(
        path,
        dtype=dtype,
        device=device,
        quantization=quantization,
        revision=revision,
        batch_tokens=batch_tokens,
        max_words=max_words,
        on_failed=on_failed,
        dry_run=dry_run,
        show_prompt=show_prompt,
    )


_LOADERS: dict[str, Callable[..., Tagger]] = {"kb": _dictionary, "prompt": _prompted}
_HASHES: dict[str, Callable[[str], str]] = {}
# Prefixes of rooms on higher floors: the module that registers each is imported, in any process, when it is asked for.
_ELSEWHERE = {"annotate": "vaner.annotation.loading"}


def register(prefix: str, loader: Callable[..., Tagger], hash: Callable[[str], str] | None = None) -> None:
    """Let ``load`` give taggers of another kind.

    Args:
        prefix: of their names, as ``kb`` is of ``kb:names.kb``.
        loader: a function of what stands behind the colon; its keyword arguments are the options that it takes.
        hash: a function of the same: a hash of all that decides what such a tagger says, the same wherever it lies.
            By default that of the file or folder of this name.
    """
    _LOADERS[prefix] = loader
    if hash is not None:
        _HASHES[prefix] = hash


def hash_of(prefix: str) -> Callable[[str], str] | None:
    """What was registered to hash taggers of a prefix; None where nothing was."""
    _known(prefix)
    return _HASHES.get(prefix)


def _known(prefix: str) -> bool:
    """Whether taggers of a prefix can be loaded."""
    if prefix not in _LOADERS and prefix in _ELSEWHERE:
        importlib.import_module(_ELSEWHERE[prefix])
    return prefix in _LOADERS


def split(name: str) -> tuple[str, str]:
    """The prefix of a name, and what stands behind it; no prefix where it names a labeler."""
    found = _PREFIX.fullmatch(name)
    return ("", name) if found is None or Path(name).exists() else (found[1], found[2])


def is_generator(name: str) -> bool:
    """Whether a name is that of a folder which ``train.py --head generate`` wrote."""
    return Path(name, GENERATOR_NAME).is_file()


def _loader(name: str) -> tuple[Callable[..., Tagger], str]:
    """What loads a tagger, and the name that it is given."""
    prefix, rest = split(name)
    if not prefix:
        return (_prompted if is_generator(name) else _labeler), name
    if prefix == "kb" and not rest:
        raise VanerError("kb: names no index; write kb:open, or kb:PATH (python -m vaner kb build makes one)")
    if prefix == "prompt" and not rest:
        raise VanerError("prompt: names no file; write prompt:FILE (configs/prompts/ has some)")
    if not _known(prefix):
        kinds = dict.fromkeys([*_LOADERS, *_ELSEWHERE])
        hint = near(prefix, kinds) or f"there are {', '.join(f'{p}:' for p in kinds)}"
        raise VanerError(f"{name}: no kind of tagger has the prefix {prefix}: ({hint})")
    return _LOADERS[prefix], rest


def options_of(name: str) -> frozenset[str]:
    """The options that the tagger of this name takes.

    Raises:
        VanerError: a prefix that nothing registered.
    """
    loader, _ = _loader(name)
    if loader is _labeler:
        return frozenset(Options.__annotations__)
    parameters = list(inspect.signature(loader).parameters.values())[1:]
    return frozenset(one.name for one in parameters)


def load(name: str, **options: Unpack[AllOptions]) -> Tagger:
    """The tagger of a name.

    Args:
        name: a model folder, a model that vaner ships, a hub id, or one with a prefix such as ``kb:PATH``.
        options: those that are None are as good as left out.

    Raises:
        VanerError: no such tagger, or an option that its kind does not take.
    """
    loader, rest = _loader(name)
    given = {option: value for option, value in options.items() if value is not None}
    takes = options_of(name)
    for option, value in given.items():
        if option not in takes:
            flag = f"--no_{option}" if value is False else f"--{option}"
            raise VanerError(
                f"{name}: takes no {option}; it takes {', '.join(sorted(takes)) or 'no option'}; leave {flag} out"
            )
    return loader(rest, **given)
