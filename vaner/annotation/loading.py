"""In: a plan. Out: the Tagger that annotates by it, as `vaner.tagging.loading.load("annotate:PLAN")` gives it."""

from __future__ import annotations

import os
from typing import Any

from vaner.annotation.annotator import Annotator
from vaner.annotation.marked import Verifier
from vaner.annotation.plan import RULES, SAME, Member, Plan
from vaner.annotation.rules import Rules
from vaner.annotation.verifying import ModelVerifier, TaggerVerifier
from vaner.errors import VanerError
from vaner.tagger import Tagger
from vaner.tagging.loading import load, options_of, register
from vaner.tagging.prompted import PromptedTagger


def annotator(path: str, **options: Any) -> Annotator:
    """The annotator of a plan.

    Args:
        path: of the plan, or of the output folder of `python -m vaner annotate`.
        options: of its annotators and verifiers; each is given those that its kind takes. ``dry_run`` and
            ``show_prompt``: prompted annotators send nothing, the others are not loaded.

    Raises:
        VanerError, FileNotFoundError: what cannot be loaded; an option that none of them takes.
    """
    plan = _plan(path)
    given = {name: value for name, value in options.items() if value is not None}
    dry = bool(given.get("dry_run") or given.get("show_prompt"))
    members = [one for one in plan.annotators if one.prompted or not dry]
    if not members:
        raise VanerError(
            "--dry_run, --show_prompt: no annotator is prompted, and nothing would be sent; leave it out"
        )
    judges = [one for one in plan.verifiers if one.loads and not dry]
    names = [plan.loads(one) for one in (*members, *judges)]
    for option in given:
        if names and not any(option in options_of(name) for name in names) and option not in _OF_PROMPTED:
            raise VanerError(
                f"--{option}: none of {', '.join(one.name for one in members)} takes it; leave it out"
            )
    loaded = {one.name: _load(plan, one, given) for one in members}
    verifiers: list[Verifier] = [] if dry else [_verifier(plan, one, loaded, given) for one in plan.verifiers]
    return Annotator(
        loaded,
        plan.types,
        instructions=plan.instructions_hash[:16],
        verifiers=verifiers,
        least_votes=plan.least_votes,
        propagated=plan.propagate,
        dry=dry,
    )


_OF_PROMPTED = ("on_failed", "dry_run", "show_prompt")


def _plan(path: str) -> Plan:
    return Plan.of_run(path) if os.path.isdir(path) else Plan.load(path)


def _load(plan: Plan, member: Member, given: dict[str, Any]) -> Tagger:
    name = plan.loads(member)
    takes = options_of(name)
    own: Any = {option: value for option, value in given.items() if option in takes}
    return load(name, **own)


def _verifier(plan: Plan, member: Member, annotators: dict[str, Tagger], given: dict[str, Any]) -> Verifier:
    on_failed = given.get("on_failed", "raise")
    if member.name == RULES:
        return Rules(plan.rules)
    if member.name == SAME:
        name = next(one.name for one in plan.annotators if one.prompted)
        tagger = annotators[name]
        assert isinstance(tagger, PromptedTagger)
        return ModelVerifier(SAME, tagger, own=False, on_failed=on_failed)
    tagger = _load(plan, member, given)
    if member.prompted and isinstance(tagger, PromptedTagger):
        return ModelVerifier(member.name, tagger, on_failed=on_failed)
    return TaggerVerifier(member.name, tagger)


def _annotate(
    path: str,
    dtype: str | None = None,
    device: str | None = None,
    quantization: str | None = None,
    batch_tokens: int | None = None,
    max_words: int | None = None,
    on_failed: str | None = None,
    dry_run: bool | None = None,
    show_prompt: int | None = None,
) -> Tagger:
    return annotator(
        path,
        dtype=dtype,
        device=device,
        quantization=quantization,
        batch_tokens=batch_tokens,
        max_words=max_words,
        on_failed=on_failed,
        dry_run=dry_run or None,
        show_prompt=show_prompt,
    )


def _hash(path: str) -> str:
    return _plan(path).hash


register("annotate", _annotate, hash=_hash)
