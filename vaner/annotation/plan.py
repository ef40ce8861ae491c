"""In: who annotates, by what, who verifies. Out: Plan: all that decides an annotation, as a file that a run loads.

OUTPUT/.annotate/plan.yaml          what `annotate:OUTPUT/.annotate/plan.yaml` loads
OUTPUT/.annotate/prompts/*.yaml     prompted annotators and verifiers with the instructions in them
OUTPUT/.annotate/guideline/*.txt    what --guideline retrieved searches

The folder is hidden, so that OUTPUT is read as a folder of documents.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from vaner.annotation.rules import TypeRules
from vaner.errors import VanerError
from vaner.files import read_yaml, replacing_text
from vaner.jobs.sources import WORK
from vaner.tagging.loading import split

FOLDER = ".annotate"
FILE = "plan.yaml"
#: Verifiers that are no taggers: what the instructions let a machine check; the annotating model, asked again.
RULES, SAME = "rules", "same"


@dataclass(frozen=True)
class Member:
    """An annotator or a verifier.

    Attributes:
        name: as reports call it, without where it lies.
        loads: what `vaner.tagging.loading.load` is given; a prompted one's file is relative to the plan. Empty for
            RULES and SAME.
        hash: of what it is made of.
    """

    name: str
    loads: str = ""
    hash: str = ""

    @property
    def prompted(self) -> bool:
        """Whether it is a prompted tagger whose file lies beside the plan."""
        return split(self.loads)[0] == "prompt"


@dataclass(frozen=True)
class Plan:
    """All that decides an annotation.

    Attributes:
        annotators: in order of preference.
        types: that are asked.
        instructions: path of the file.
        instructions_hash: of what it says.
        corpus: that the instructions are of.
        guideline: how much of them prompts say: ``none``, ``short``, ``full`` or ``retrieved``.
        steps: of prompted annotators; empty: as each file says.
        unverified: whether statements without a verified quotation are said, too.
        verifiers: in order.
        rules: type -> what its mentions are held to, where RULES is among them.
        least_votes: as of `vaner.annotation.annotator.Annotator`.
        propagate: mark all places of a mention's words.
        folder: where it lies.
    """

    annotators: tuple[Member, ...]
    types: tuple[str, ...]
    instructions: str
    instructions_hash: str
    corpus: str = ""
    guideline: str = "short"
    steps: tuple[str, ...] = ()
    unverified: bool = False
    verifiers: tuple[Member, ...] = ()
    rules: Mapping[str, TypeRules] = field(default_factory=dict)
    least_votes: int | None = None
    propagate: bool = False
    folder: Path = Path()

    @classmethod
    def of_run(cls, output: str | os.PathLike[str]) -> Plan:
        """The plan of a run's output folder.

        Raises:
            VanerError: it holds no annotation.
        """
        path = Path(output) / FOLDER / FILE
        if not path.is_file():
            raise VanerError(
                f"{output}: holds no annotation; name what python -m vaner annotate wrote (--output)"
            )
        return cls.load(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Plan:
        """Read a plan.

        Raises:
            VanerError: it is none.
            FileNotFoundError: no such file.
        """
        said: dict[str, Any] = dict(read_yaml(path))
        try:
            members: dict[str, Any] = {
                which: tuple(Member(**one) for one in said.pop(which, ()))
                for which in ("annotators", "verifiers")
            }
            rules = {type: TypeRules.from_dict(one) for type, one in said.pop("rules", {}).items()}
            tuples: dict[str, Any] = {name: tuple(said.pop(name, ())) for name in ("types", "steps")}
            return cls(**said, **members, **tuples, rules=rules, folder=Path(path).parent)
        except (TypeError, AttributeError, KeyError) as error:
            raise VanerError(
                f"{path}: is no plan of an annotation ({error}); run the command again"
            ) from None

    def to_dict(self) -> dict[str, Any]:
        """As YAML holds it."""
        return {
            "corpus": self.corpus,
            "instructions": self.instructions,
            "instructions_hash": self.instructions_hash,
            "types": list(self.types),
            "annotators": [vars(one) for one in self.annotators],
            "guideline": self.guideline,
            "steps": list(self.steps),
            "unverified": self.unverified,
            "verifiers": [vars(one) for one in self.verifiers],
            "rules": {type: rules.to_dict() for type, rules in self.rules.items()},
            "least_votes": self.least_votes,
            "propagate": self.propagate,
        }

    def decides(self) -> dict[str, Any]:
        """What of it decides an annotation, the same wherever anything lies; what runs are compared by."""
        said = self.to_dict()
        for which in ("annotators", "verifiers"):
            said[which] = {one["name"]: one["hash"] for one in said[which]}
        return {name: value for name, value in said.items() if name != "instructions"}

    @property
    def hash(self) -> str:
        """Of `decides`."""
        return hashlib.sha256(json.dumps(self.decides(), sort_keys=True).encode()).hexdigest()

    @property
    def path(self) -> Path:
        """Of the file."""
        return self.folder / FILE

    def loads(self, member: Member) -> str:
        """What loads an annotator or a verifier."""
        return f"prompt:{self.folder / split(member.loads)[1]}" if member.prompted else member.loads

    def write(self, beside: Mapping[str, str] = {}) -> None:
        """Write it into its folder.

        Args:
            beside: name of a file in the folder -> its text.
        """
        for name, text in {**beside, FILE: yaml_of(self.to_dict())}.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_file() and path.read_bytes() == text.encode():
                continue  # another process may be reading it
            with replacing_text(path) as file:
                file.write(text)


def check_folder(output: Path, plan: Plan) -> None:
    """Refuse an output folder that another plan has begun.

    Raises:
        VanerError: names what is different.
    """
    manifest = output / WORK / "manifest.jsonl"
    if not (output / FOLDER / FILE).is_file() or not (manifest.is_file() and manifest.stat().st_size):
        return
    before, now = Plan.of_run(output).decides(), plan.decides()
    differs = [name for name in now if before.get(name) != now[name]]
    if differs:
        said = "; ".join(f"{name} was {_shown(before.get(name))}, is {_shown(now[name])}" for name in differs)
        raise VanerError(
            f"{output}: holds an annotation by another plan ({said}); name another folder, or start anew with "
            "--overwrite"
        )


def _shown(value: Any) -> str:
    if isinstance(value, Mapping) and all(isinstance(one, str) for one in value.values()):
        value = ", ".join(f"{name} {hash[:8]}".strip() for name, hash in value.items()) or "none"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."


def yaml_of(values: Mapping[str, Any]) -> str:
    """Values as a YAML file."""
    return yaml.safe_dump(dict(values), allow_unicode=True, sort_keys=False)


def unique(names: Sequence[str]) -> list[str]:
    """Names, each another: of equal ones the later are numbered."""
    found: list[str] = []
    for name in names:
        again = 2
        unused = name
        while unused in found:
            unused = f"{name} ({again})"
            again += 1
        found.append(unused)
    return found
