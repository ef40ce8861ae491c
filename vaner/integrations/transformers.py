"""In: a labeler, a dataset, a type. Out: a folder that transformers' own pipelines read, checked against the labeler.

load --> check --> stock_network, stock_tokenizer --> written aside --> read again and compared --> renamed
"""

from __future__ import annotations

import contextlib
import importlib.resources
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from huggingface_hub import ModelCard, ModelCardData
from transformers import AutoModelForTokenClassification, AutoTokenizer

from vaner.document import Document
from vaner.errors import VanerError
from vaner.files import write_text
from vaner.inputs.batching import collate
from vaner.inputs.instructions import Instruction
from vaner.integrations.stock_network import check, longest, stock
from vaner.integrations.stock_tokenizer import differences, stock_tokenizer
from vaner.model.adapting import quiet
from vaner.model.catalogue import EMBEDDED
from vaner.model.config import CARD_NAME
from vaner.tagging.labeler import Vaner
from vaner.text.units import Text

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

#: How far scores may lie apart in float32, as a share of the largest (or of 1, where that is less).
TOLERANCE = 1e-5

# What tokenizers stumble over: words run together, other scripts, references, hidden characters, special tokens.
TEXTS = (
    "Famotidine-associated delirium: 6 patients (aged 61-84) with renal failure.",
    "T-cell lymphoma at 11p15.5; TNF-&alpha; and IL-2R\N{GREEK SMALL LETTER BETA} (p<0.001).",
    "A na\N{LATIN SMALL LETTER I WITH DIAERESIS}ve, hepato\N{SOFT HYPHEN}cellular tumour\tin 5\N{NO-BREAK SPACE}mg",
    "BRCA1/2 mutations <s> [MASK] </s> of E. coli O157:H7 were seen in e\N{COMBINING ACUTE ACCENT}tude 3.",
    "Na+/K+-ATPase, 1,2-dichloroethane and (S)-3-(4-hydroxyphenyl)alanine",
)


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        folder: where.
        dataset, type: what is asked of every text; the dataset is None in adaptive mode.
        difference: the largest between its scores and the labeler's, on TEXTS.
    """

    folder: Path
    dataset: str | None
    type: str
    difference: float


def export(
    name: str | Path,
    output: str | Path,
    *,
    dataset: str | None = None,
    types: Sequence[str] | None = None,
    revision: str | None = None,
) -> Exported:
    """Write a labeler as a folder for ``AutoModelForTokenClassification`` and ``pipeline("token-classification")``.

    Args:
        name: model folder, shipped model or hub id.
        output: a new folder.
        dataset: whose guideline to follow; None is adaptive mode.
        types: the one type that is asked; by default the dataset's, if it has one.
        revision: of a hub id.

    Raises:
        VanerError: no such model or type, one whose scores no stock model has (it says why), or a difference.
    """
    output = Path(output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise VanerError(f"{output}: is there already; name a new folder")
    tagger = Vaner.from_pretrained(
        name, dtype="float32", device="cpu", fuse=False, revision=revision, kb="none"
    )
    asked = tagger.asked(types, dataset)
    check(tagger.model, asked)
    instruction = tagger.settings.template.render(asked, dataset)
    with torch.inference_mode():
        model = stock(tagger.model, tagger.tokenisation, instruction)
    most = longest(tagger.model)
    tokenizer, first = stock_tokenizer(tagger.tokenisation, instruction, most)
    with _aside(output) as folder, quiet():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        del model, tokenizer
        # What will be read is what is on the disk.
        difference = _compared(folder, tagger, instruction)
        write_text(
            folder / CARD_NAME, _card(tagger, Path(name).name, instruction, dataset, first, most, difference)
        )
    return Exported(output, dataset, asked[0], difference)


@contextlib.contextmanager
def _aside(output: Path) -> Iterator[Path]:
    """A folder beside the output, which takes its name when the block ends well, else leaves no trace."""
    output.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=output.parent, prefix=f".{output.name}-"))
    try:
        yield scratch
        for path in scratch.iterdir():
            # Weights are written for their owner's eyes only; the card is not.
            shutil.copymode(scratch / CARD_NAME, path)
            with open(path, "rb") as file:
                os.fsync(file.fileno())
        os.chmod(scratch, 0o755)
        os.replace(scratch, output)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def _compared(folder: Path, tagger: Vaner, instruction: Instruction) -> float:
    """The largest difference of scores; VanerError where it is none of rounding, or a text is read otherwise."""
    model = AutoModelForTokenClassification.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    largest = 0.0
    for text in TEXTS:
        if said := differences(tokenizer, tagger.tokenisation, instruction, text):
            raise VanerError(f"this model's tokenizer cannot be exported: {said}")
        ours, theirs = (
            scores(tagger, instruction, text),
            stock_scores(model, tokenizer, tagger, instruction, text),
        )
        difference = (ours - theirs).abs().max().item()
        if not difference <= TOLERANCE * max(1.0, ours.abs().max().item()):
            raise VanerError(
                f"this model cannot be exported: its scores and those of a stock model lie {difference:.1e} apart"
            )
        largest = max(largest, difference)
    return largest


def scores(tagger: Vaner, instruction: Instruction, text: str) -> torch.Tensor:
    """What the labeler says of a text that is read as one unit: float32 ``(words, 3)``."""
    row = tagger.tokenisation.row(instruction, Text.of(Document("", text)).words)
    arrays = collate([row], tagger.tokenisation.pad_id)
    with torch.inference_mode():
        found: torch.Tensor = tagger.model(**{key: torch.from_numpy(value) for key, value in arrays.items()})[
            "logits"
        ]
    return found[0, 0]


def stock_scores(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    tagger: Vaner,
    instruction: Instruction,
    text: str,
) -> torch.Tensor:
    """What a stock model says of the words of a text: float32 ``(words, 3)``."""
    row = tagger.tokenisation.row(instruction, Text.of(Document("", text)).words)
    with torch.inference_mode():
        found: torch.Tensor = model(**tokenizer(text, return_tensors="pt")).logits
    return found[0, torch.from_numpy(row.word_positions).long()]


def _card(
    tagger: Vaner,
    name: str,
    instruction: Instruction,
    dataset: str | None,
    first: str,
    most: int,
    difference: float,
) -> str:
    """What the folder is, how it is read exactly, and where it differs from the model that it was made of."""
    settings = tagger.settings
    base = EMBEDDED[settings.backbone].source if settings.backbone in EMBEDDED else settings.backbone
    (kind,) = instruction.types
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag="token-classification",
        tags=["biomedical", "named-entity-recognition"],
        base_model=base if base.count("/") == 1 and not base.startswith((".", "~", "/")) else None,
    )
    card = ModelCard.from_template(
        data,
        template_str=importlib.resources.files("vaner.integrations")
        .joinpath("stock_card.jinja")
        .read_text(encoding="utf-8"),
        name=name,
        kind=kind,
        dataset=dataset,
        instruction=instruction.text,
        place=instruction.place,
        first=first,
        most=most,
        words=settings.max_words,
        difference=f"{difference:.1e}",
    )
    return str(card).rstrip() + "\n"
