"""In: train texts, gold, a teacher. Out: the learning curve of a student on labels of people and on a teacher's.

For each part of the train texts (the smaller ones lie in the larger) and each seed, one student is trained on gold
labels and one on those of the teacher: same texts, same updates, same everything else. A teacher must not have been
trained on these texts: those that its own corpora share are left out of both sides, and where most are, it is refused.
"""

from __future__ import annotations

import argparse
import json
import random
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import paired
from kept_rows import ROOT, call, slug, texts
from kept_rows import sample as drawn
from tabulate import tabulate

from vaner.corpora.overlap import fingerprints, overlapping
from vaner.corpora.registry import read_registry
from vaner.document import Document
from vaner.errors import VanerError
from vaner.evaluation.metrics import MICRO, score
from vaner.evaluation.pairing import pair
from vaner.evaluation.plot import check_plot
from vaner.files import replacing
from vaner.formats import read, write
from vaner.report import Report
from vaner.tagging.identity import plain_name, tagger_hash, unloaded

Row = Callable[[str, Mapping[str, Any], Callable[[], dict[str, Any]]], dict[str, Any]]
Corpora = Mapping[str, tuple[str, tuple[str, ...]]]

GOLD, TAUGHT, SCORES = "gold", "teacher", "teacher, every word"
_ITSELF = "the teacher itself"
# Its lines, told apart in grey, too: colour, line, marker, whether it is filled.
_LOOKS = {
    GOLD: ("#000000", "-", "o", True),
    TAUGHT: ("#b35806", "--", "s", False),
    SCORES: ("#2166ac", "-.", "^", True),
}


def add_arguments(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--teacher", default="kb:open", help="any tagger that was not trained on these texts")
    add(
        "--scores",
        action="store_true",
        help="also a student of what the teacher, a labeler, says of every word",
    )
    add("--student", default="minilm-l6", help="backbone that is trained")
    add("--fractions", type=float, nargs="+", default=[25, 50, 100], help="percent of the train texts")
    add("--seeds", type=int, nargs="+", default=[1], help="of training; all see the same texts")
    add("--updates", type=int, default=300, help="of each student")
    add("--batch_tokens", type=int, default=2048, help="of an update")
    add("--learning_rate", type=float, default=5e-4, help="of training")
    add("--train_flags", default="--adapter full", help="more flags of train.py")
    add("--dev_documents", type=int, help="of each dev split that score a student; without it all")
    add("--samples", type=int, default=2000, help="draws of seeds and documents")


def measured(args: argparse.Namespace, corpora: Corpora, row: Row) -> dict[str, Any]:
    """The curve: its points, the differences at each part, and what the teacher is worth by itself.

    Raises:
        VanerError: the teacher was trained on these texts, or cannot be asked for their types.
    """
    folder = Path(args.runs).resolve() / "curve"
    sets = {name: _Set.read(name, corpus, types, args) for name, (corpus, types) in corpora.items()}
    teacher = {}
    for name, one in sets.items():
        made_of = {"teacher": tagger_hash(args.teacher), **one.described()}
        teacher[name] = row(
            f"teacher {plain_name(args.teacher)} {name}", made_of, lambda one=one: one.tag(args, folder)
        )
    points = []
    counts: dict[tuple[str, float], dict[str, np.ndarray]] = {}
    for labels in (GOLD, TAUGHT, *([SCORES] if args.scores else [])):
        for part in args.fractions:
            found = [_student(args, folder, sets, labels, part, seed, row) for seed in args.seeds]
            counts[labels, part] = {name: _kinds([one["counts"][name] for one in found]) for name in sets}
            points.append(
                {
                    "labels": labels,
                    "part": part,
                    "documents": found[0]["documents"],
                    "minutes": [one["minutes"] for one in found],
                    **_said(counts[labels, part], args.samples),
                }
            )
    return {
        "teacher": {"name": plain_name(args.teacher), "corpora": teacher},
        "student": args.student,
        "updates": args.updates,
        "seeds": args.seeds,
        "points": points,
        "differences": [
            {
                "labels": labels,
                "part": part,
                **paired.difference(counts[labels, part], counts[GOLD, part], args.samples)["f1"],
            }
            for labels, part in counts
            if labels != GOLD
        ],
    }


class _Set:
    """A corpus: train texts that the teacher was not trained on, in the order in which parts of them are taken.

    Attributes:
        train, dev: gold documents.
        shared: train texts that were left out, since the teacher's corpora share them.
    """

    def __init__(
        self, name: str, types: tuple[str, ...], train: list[Document], dev: list[Document], shared: int
    ) -> None:
        self.name, self.types, self.train, self.dev, self.shared = name, types, train, dev, shared

    @classmethod
    def read(cls, name: str, corpus: str, types: tuple[str, ...], args: argparse.Namespace) -> _Set:
        one = read_registry()[corpus]
        train = list(one.documents("train", args.data_root, "skip"))
        shared = _trained_on(args, train)
        if 2 * len(shared) > len(train):
            raise VanerError(
                f"--teacher {args.teacher}: was trained on {len(shared):,} of the {len(train):,} train texts of {name}"
                "; name one that was not, such as kb:open"
            )
        left = [_only(document, types) for document in train if document.id not in shared]
        random.Random(args.seed).shuffle(left)
        dev = drawn(one.documents("dev", args.data_root, "skip"), args.dev_documents, args.seed)
        return cls(name, types, left, [_only(document, types) for document in dev], len(shared))

    def described(self) -> dict[str, Any]:
        """What its rows are made of."""
        return {"train": [d.id for d in self.train], "dev": [d.id for d in self.dev], "types": self.types}

    def part(self, percent: float) -> list[Document]:
        """The first so many of its train documents."""
        return self.train[: max(1, round(len(self.train) * percent / 100))]

    def tag(self, args: argparse.Namespace, folder: Path) -> dict[str, Any]:
        """Have the teacher label train and dev; what its labels are worth."""
        found: dict[str, Any] = {"shared": self.shared}
        for split, documents in (("train", self.train), ("dev", self.dev)):
            file = _teacher_file(folder, args.teacher, self.name, split)
            options = ["--word_scores"] if args.scores and split == "train" else []
            tag(args.teacher, documents, file, self.types, options)
            against = score(pair(documents, [_only(d, self.types) for d in read(file)]))[MICRO]
            found[split] = {m: getattr(against, m) for m in ("precision", "recall", "f1")}
        return found

    def labelled(self, args: argparse.Namespace, folder: Path, labels: str, percent: float) -> list[Document]:
        """A part of the train documents with labels of people or of the teacher."""
        documents = self.part(percent)
        if labels == GOLD:
            return documents
        wanted = {document.id for document in documents}
        file = _teacher_file(folder, args.teacher, self.name, "train")
        by_id = {d.id: _only(d, self.types, labels == SCORES) for d in read(file) if d.id in wanted}
        return [by_id[document.id] for document in documents]


def _trained_on(args: argparse.Namespace, documents: Sequence[Document]) -> set[str]:
    """Ids of the documents that the train splits of a teacher's corpora share."""
    known = unloaded(args.teacher)
    if known is None:
        raise VanerError(
            f"--teacher {args.teacher}: what it was trained on cannot be told; name a folder, shipped model, kb:INDEX "
            "or prompt:FILE"
        )
    registry = read_registry()
    shared: set[str] = set()
    # A prompted tagger has corpora whose names it may say, and was trained on none that is known.
    datasets = () if args.teacher.startswith("prompt:") else known.datasets
    for dataset in datasets:
        corpora = [one for one in registry.values() if dataset in (one.name, one.instruction_name)]
        present = [one for one in corpora if "train" in one.present(args.data_root)]
        if not present:
            raise VanerError(
                f"--teacher {args.teacher}: was trained on {dataset}, whose train texts are not here to be compared"
            )
        for one in present:
            taught = fingerprints(one.documents("train", args.data_root, "skip"))
            shared |= overlapping(documents, taught)
    return shared


def _student(
    args: argparse.Namespace,
    folder: Path,
    sets: Mapping[str, _Set],
    labels: str,
    part: float,
    seed: int,
    row: Row,
) -> dict[str, Any]:
    name = f"student {labels} {part:g} {seed}"
    if labels != GOLD:
        name += f" of {plain_name(args.teacher)}"
    words: list[object] = ["--backbone", args.student, "--max_steps", args.updates, "--seed", seed]
    words += ["--batch_tokens", args.batch_tokens, "--learning_rate", args.learning_rate]
    words += ["--evaluations", 0, "--dev_share", 0, "--save_strategy", "no", *shlex.split(args.train_flags)]
    words += ["--distil_weight", 0.5] if labels == SCORES else []
    made_of = {
        "words": [str(word) for word in words],
        "part": part,
        "teacher": "" if labels == GOLD else tagger_hash(args.teacher),
        "sets": {set: one.described() for set, one in sets.items()},
    }

    def measure() -> dict[str, Any]:
        here = folder / slug(name)
        mix = []
        for set, one in sets.items():
            file = here / f"{set}-train.jsonl"
            file.parent.mkdir(parents=True, exist_ok=True)
            write(file, one.labelled(args, folder, labels, part), "jsonl", report=Report())
            mix.append(file)
        model = here / "model"
        guarded = ["--held_out", *(corpus for corpus, _ in corpora_of(args).values())]
        root = ["--data_root", args.data_root] if args.data_root else []
        out = ["--output_dir", model, "--overwrite_output_dir", "true"]
        call([ROOT / "train.py", "--mix", *mix, *words, *guarded, *root, *out], here / "train.log")
        counts = {}
        for set, one in sets.items():
            file = here / f"{set}-dev.jsonl"
            tag(str(model), one.dev, file, one.types, ["--dataset", f"{set}-train"])
            scores = score(pair(one.dev, [_only(document, one.types) for document in read(file)]))
            counts[set] = scores.rows[MICRO].astype(int).tolist()
        said = json.loads((model / "run.json").read_text(encoding="utf-8"))
        return {
            "documents": {set: len(one.part(part)) for set, one in sets.items()},
            "minutes": said["minutes"],
            "counts": counts,
        }

    return row(name, made_of, measure)


def corpora_of(args: argparse.Namespace) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Name of the instructions -> corpus, its types."""
    types = {"ncbi-disease": ("Disease",), "bc5cdr": ("Chemical", "Disease")}
    ending = "sample" if args.tiny else "pubtator"
    return {name: (f"{name}-{ending}", types[name]) for name in args.corpora}


def tag(
    model: str, documents: Sequence[Document], file: Path, types: Sequence[str], options: Sequence[object]
) -> None:
    """Have documents tagged, of which the tagger sees the texts alone."""
    source = file.with_name(f"{file.stem}.texts.jsonl")
    source.parent.mkdir(parents=True, exist_ok=True)
    write(source, texts(documents), "jsonl", report=Report())
    words = [ROOT / "predict.py", "--model", model, "--input", source, "--output", file]
    call([*words, "--types", *types, *options], file.with_suffix(".log"))


def _teacher_file(folder: Path, teacher: str, name: str, split: str) -> Path:
    return folder / slug(f"teacher {plain_name(teacher)}") / f"{name}-{split}.jsonl"


def _only(document: Document, types: Sequence[str], scores: bool = False) -> Document:
    """A document in which these types are annotated, and no others; ``scores``: what a teacher says of words stays."""
    kept = {key: value for key, value in document.metadata.items() if scores and key == "word_scores"}
    kept |= {"pmid": document.metadata["pmid"]} if "pmid" in document.metadata else {}
    spans = [span for span in document.spans if span.type in types]
    return replace(document, spans=spans, types=frozenset(types), metadata=kept, words=None, sentences=None)


def _kinds(seeds: Sequence[Sequence[Sequence[int]]]) -> np.ndarray:
    """(seeds, documents, kinds, 3) as `paired` wants them; only mentions of all kinds together are counted."""
    counts = np.asarray(seeds, dtype=float)
    filled = np.zeros((*counts.shape[:2], len(paired.KINDS), 3))
    filled[:, :, 0] = counts
    return filled


def _said(counts: Mapping[str, np.ndarray], samples: int) -> dict[str, Any]:
    """F1 in [0, 1]: the mean over seeds and corpora with the interval of draws, and of each corpus."""
    mean = paired.summary(counts, samples)["f1"]
    return {
        "f1": mean["mean"],
        "interval": mean["drawn"],
        "corpora": {name: paired.summary({name: one}, samples)["f1"] for name, one in counts.items()},
    }


# --- what is shown ---


def percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def range_of(interval: Iterable[float] | None) -> str:
    if interval is None:
        return ""
    low, high = interval
    return f" ({100 * low:.1f} - {100 * high:.1f})"


def table(curve: Mapping[str, Any]) -> str:
    """The points, and below them what the teacher's labels are worth."""
    over = {(one["labels"], one["part"]): one for one in curve["differences"]}
    names = list(curve["teacher"]["corpora"])
    lines = []
    for one in curve["points"]:
        difference = over.get((one["labels"], one["part"]))
        shown = (
            "" if difference is None else f"{100 * difference['mean']:+.1f}" + range_of(difference["drawn"])
        )
        by_corpus = [percent(one["corpora"][name]["mean"]) for name in names]
        lines.append(
            [
                one["labels"],
                f"{one['part']:g} %",
                percent(one["f1"]) + range_of(one["interval"]),
                *by_corpus,
                shown,
            ]
        )
    points = tabulate(
        lines,
        ["labels", "texts", "F1 (95 %)", *names, "over gold (95 %)"],
        tablefmt="github",
        disable_numparse=True,
    )
    teacher = [
        [name, split, *(percent(one[split][m]) for m in ("precision", "recall", "f1")), one["shared"] or ""]
        for name, one in curve["teacher"]["corpora"].items()
        for split in ("train", "dev")
    ]
    head = [curve["teacher"]["name"], "split", "P", "R", "F1", "texts left out, as it knows them"]
    return f"{points}\n\n{tabulate(teacher, head, tablefmt='github', disable_numparse=True)}"


def draw(path: str, curve: Mapping[str, Any]) -> None:
    """A panel a corpus: F1 on dev against the part of the texts; told apart without colours, too.

    Raises:
        VanerError: matplotlib is missing, or the ending is none of its formats.
    """
    check_plot(path)
    import matplotlib
    from matplotlib.figure import Figure

    names = list(curve["teacher"]["corpora"])
    format = Path(path).suffix.lstrip(".").lower()
    with matplotlib.rc_context({"svg.hashsalt": "vaner", "font.size": 9}):
        figure = Figure(figsize=(3.4 * len(names), 3.4), layout="constrained")
        for name, panel in zip(names, figure.subplots(1, len(names), squeeze=False).flat, strict=True):
            for labels, (colour, line, marker, filled) in _LOOKS.items():
                points = [one for one in curve["points"] if one["labels"] == labels]
                if not points:
                    continue
                found = [one["corpora"][name] for one in points]
                panel.errorbar(
                    [one["part"] for one in points],
                    [100 * one["mean"] for one in found],
                    yerr=np.abs(
                        [[100 * (one["mean"] - one["drawn"][side]) for one in found] for side in (0, 1)]
                    ),
                    color=colour,
                    linestyle=line,
                    marker=marker,
                    markerfacecolor=colour if filled else "white",
                    elinewidth=0.6,
                    label="labels of people" if labels == GOLD else f"labels of the {labels}",
                )
            own = 100 * (curve["teacher"]["corpora"][name]["dev"]["f1"] or 0)
            panel.axhline(own, color="#666666", linestyle=":", linewidth=1, label=_ITSELF)
            panel.set(title=name, xlabel="% of the train texts", ylabel="F1 on dev")
            panel.set_xticks(sorted({one["part"] for one in curve["points"]}))
        panels = len(names)
        lines, names = panel.get_legend_handles_labels()
        order = sorted(range(len(names)), key=lambda at: names[at] == _ITSELF)
        figure.legend(
            [lines[at] for at in order],
            [names[at] for at in order],
            loc="outside lower center",
            # A single panel is too narrow for all of them side by side.
            ncols=len(names) if panels > 1 else 1,
            frameon=False,
        )
        metadata = {"Date": None} if format == "svg" else {"CreationDate": None} if format == "pdf" else None
        with replacing(path) as file:
            figure.savefig(file, format=format, dpi=150, metadata=metadata)
