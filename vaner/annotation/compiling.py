"""In: instructions, the names of annotators and verifiers. Out: their Plan, and the files that lie beside it.

A prompt file is kept as it is but for what the instructions say: the asked types with their definitions, the guideline,
the steps. Where it does not say where the guideline is to stand, that is before the rules of the answer. Spans get
scores where its backend can tell them.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vaner.annotation.instructions import Instructions
from vaner.annotation.plan import FOLDER, RULES, SAME, Member, Plan, unique, yaml_of
from vaner.annotation.rules import Rules, TypeRules
from vaner.errors import VanerError, near
from vaner.files import stem, write_text
from vaner.prompting.fingerprint import fingerprint
from vaner.prompting.settings import STEPS, PassageSettings, PromptSettings
from vaner.prompting.wording import shows
from vaner.prompting.writing import values_of
from vaner.tagging.identity import Unloaded, plain_name, tagger_hash, unloaded
from vaner.tagging.loading import options_of, split
from vaner.tagging.several import Several

#: How much of the instructions prompts say; ``retrieved``: the passages of the guideline that are nearest to a text.
GUIDELINES = ("none", "short", "full", "retrieved")

_GUIDELINE = "{% if guideline %}\nHow mentions are marked:\n{{ guideline }}\n\n{% endif %}\n"
_PASSAGES = "{% for passage in passages %}\nFrom the guideline: {{ passage.text }}\n{% endfor %}\n"
_RULES = re.compile(r"\{\{-?\s*rules\b")


@dataclass(frozen=True)
class Wanted:
    """What an annotation is to be; as `vaner.annotation.plan.Plan` has it.

    Attributes:
        models: names of annotators.
        types: that are asked; None: all that the instructions have.
        verify: RULES, SAME, or names of taggers.
    """

    models: tuple[str, ...]
    types: tuple[str, ...] | None = None
    steps: tuple[str, ...] = ()
    guideline: str = "short"
    unverified: bool = False
    verify: tuple[str, ...] = ()
    least_votes: int | None = None
    propagate: bool = False


def compiled(instructions: Instructions, wanted: Wanted, output: Path) -> tuple[Plan, dict[str, str]]:
    """The plan of an annotation into an output folder, and the files beside it: name -> text.

    Of them only the guideline's text is written here (its name says what is in it): the plan's hash needs it.

    Raises:
        VanerError: a type of which the instructions say nothing, or that no annotator knows; what does not go
            together; a prompt file that is wrong; a guideline that is not at hand.
        FileNotFoundError: a file or an index that is not there.
    """
    compiler = _Compiler(instructions, wanted, output / FOLDER)
    return compiler.plan(), compiler.files


class _Compiler:
    def __init__(self, instructions: Instructions, wanted: Wanted, folder: Path) -> None:
        self.instructions, self.wanted, self.folder = instructions, wanted, folder
        self.files: dict[str, str] = {}
        self.types = tuple(wanted.types or instructions.types)
        for type in self.types:
            if type not in instructions.types:
                hint = near(type, instructions.types) or f"it has {', '.join(instructions.types)}"
                raise VanerError(f"--types {type}: {instructions.path} says nothing of it; {hint}")

    def plan(self) -> Plan:
        wanted = self.wanted
        self._check()
        annotators = self._members(wanted.models, "annotator", wanted.steps)
        self._check_types(annotators)
        verifiers = self._members(wanted.verify, "verifier", ("mark",))
        rules = self._rules() if RULES in wanted.verify else {}
        return Plan(
            annotators=annotators,
            types=self.types,
            instructions=os.path.abspath(self.instructions.path),
            instructions_hash=self.instructions.hash,
            corpus=self.instructions.corpus,
            guideline=wanted.guideline,
            steps=wanted.steps,
            unverified=wanted.unverified,
            verifiers=verifiers,
            rules=rules,
            least_votes=wanted.least_votes,
            propagate=wanted.propagate,
            folder=self.folder,
        )

    def _check(self) -> None:
        wanted = self.wanted
        for option, names in (("model", wanted.models), ("verify", wanted.verify)):
            for name in names:
                if names.count(name) > 1:
                    raise VanerError(f"--{option} {name}: is named twice; name each once")
        prompted = [name for name in wanted.models if split(name)[0] == "prompt"]
        if SAME in wanted.verify and not prompted:
            raise VanerError(
                "--verify same: asks the annotating model again, and none of --model is prompted (prompt:FILE); name a "
                "verifier: rules, prompt:FILE, or a tagger"
            )
        if wanted.steps and not prompted:
            raise VanerError(
                "--steps: are those of prompted annotators (prompt:FILE), and no --model is one; leave it out"
            )
        if wanted.steps and list(wanted.steps) != [step for step in STEPS if step in wanted.steps]:
            raise VanerError(
                f"--steps {','.join(wanted.steps)}: name of {','.join(STEPS)} some, in this order"
            )
        if wanted.steps and "mark" not in wanted.steps:
            raise VanerError(f"--steps {','.join(wanted.steps)}: without mark nothing is marked; add it")
        if wanted.least_votes is not None and not 1 <= wanted.least_votes <= len(wanted.models):
            raise VanerError(
                f"--least_votes {wanted.least_votes}: there are {len(wanted.models)} annotators; choose 1 to "
                f"{len(wanted.models)}, or leave it out for more than half"
            )

    def _check_types(self, annotators: Sequence[Member]) -> None:
        """Refuse types that nobody knows, as far as can be told before anything is loaded."""
        known: dict[str, Unloaded] = {}
        for one in annotators:
            said = Unloaded(self.types) if one.prompted else unloaded(one.loads)
            if said is None:
                return
            known[one.name] = said
        Several(known).asked(self.types)

    def _rules(self) -> dict[str, TypeRules]:
        rules = {
            type: TypeRules.of(said.checks, said.counter_examples, self.wanted.unverified)
            for type, said in self.instructions.types.items()
            if type in self.types
        }
        rules = {type: one for type, one in rules.items() if one}
        if not rules:
            raise VanerError(
                f"--verify rules: {self.instructions.path} has neither checks nor counter-examples of "
                f"{', '.join(self.types)}; add some, or leave it out"
            )
        Rules(rules)
        return rules

    def _members(self, names: Sequence[str], role: str, steps: tuple[str, ...]) -> tuple[Member, ...]:
        called = unique([name if name in (RULES, SAME) else plain_name(name) for name in names])
        found = []
        for number, (name, plain) in enumerate(zip(names, called, strict=True), 1):
            prefix, rest = split(name)
            if role == "verifier" and name in (RULES, SAME):
                found.append(Member(plain))
            elif prefix == "prompt" and rest:
                file = f"prompts/{role}-{number}-{stem(rest)}.yaml"
                settings = self._settings(PromptSettings.load(rest), steps)
                self.files[file] = yaml_of(self._values(settings))
                found.append(Member(plain, f"prompt:{file}", fingerprint(settings)))
            else:
                options_of(name)
                found.append(Member(plain, _absolute(name), tagger_hash(name)))
        return tuple(found)

    def _settings(self, before: PromptSettings, steps: tuple[str, ...]) -> PromptSettings:
        """The settings of a prompt file, with what the instructions say in them."""
        how = self.wanted.guideline
        system, user, guideline, retrieval = before.system, before.user, before.guideline, before.retrieval
        if how != "none" and before.guideline:
            raise VanerError(
                f"{before.file}: guideline: says one already; take it out, or leave out that of the instructions "
                "(--guideline none)"
            )
        if how in ("short", "full"):
            guideline = self._guideline(before.one_type_per_call)
            if not shows(system, "guideline") and not shows(user, "guideline"):
                system = _before_rules(system, _GUIDELINE)
        if how == "retrieved":
            if retrieval.passages is not None:
                raise VanerError(
                    f"{before.file}: retrieval.passages: searches other documents already; take it out, or choose "
                    "another --guideline"
                )
            retrieval = replace(retrieval, passages=PassageSettings(source=self._texts()))
            if not shows(user, "passages"):
                user = _PASSAGES + user
        return replace(
            before,
            types=self._definitions(before),
            steps=steps or before.steps,
            system=system,
            user=user,
            guideline=guideline,
            retrieval=retrieval,
            scores=_scores(before),
        )

    def _values(self, settings: PromptSettings) -> dict[str, Any]:
        """The same as a file in the plan's folder says it."""
        values = values_of(settings)
        if self.wanted.guideline == "retrieved":
            beside = [f"../guideline/{Path(one).name}" for one in self._texts()]
            values["retrieval"]["passages"]["from"] = beside
        return values

    def _definitions(self, settings: PromptSettings) -> dict[str, str]:
        """Type -> what it is: as the instructions have it, where any of them is said; else as the file has."""
        found = {type: settings.types.get(type, "") for type in self.types}
        if self.wanted.guideline == "none":
            return found
        for type in self.types:
            said = self.instructions.types[type].definition
            if said is not None and (said.verified or self.wanted.unverified):
                found[type] = said.text
        return found

    def _guideline(self, one_by_one: bool) -> Mapping[str, str]:
        how, unverified = self.wanted.guideline, self.wanted.unverified
        if not one_by_one:
            said = {"": self.instructions.wording(self.types, how, unverified)}
        else:
            said = {type: self.instructions.wording([type], how, unverified) for type in self.types}
        return {type: text for type, text in said.items() if text.strip()}

    def _texts(self) -> tuple[str, ...]:
        """Files of the guideline's own text, written where they are not there yet."""
        found = []
        for one in self.instructions.whole(self.types):
            text = one.part()
            digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
            path = self.folder / "guideline" / f"{stem(one.path)}-{digest}.txt"
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                write_text(path, text)
            found.append(str(path))
        return tuple(found)


def _scores(settings: PromptSettings) -> str:
    """What gives spans a score: as the file says, else what costs nothing."""
    if settings.scores != "none":
        return settings.scores
    if settings.repeats > 1:
        return "votes"
    tells = settings.backend.name != "openai" or settings.backend.options.get("logprobs")
    return "logprobs" if tells else "none"


def _before_rules(system: str, block: str) -> str:
    found = _RULES.search(system)
    if found is None:
        return f"{system.rstrip()}\n{block}"
    at = system.rfind("\n", 0, found.start()) + 1
    return f"{system[:at]}{block}{system[at:]}"


def _absolute(name: str) -> str:
    """The name with the path in it in full."""
    prefix, rest = split(name)
    if not os.path.exists(rest):
        return name
    return f"{prefix}:{os.path.abspath(rest)}" if prefix else os.path.abspath(rest)
