"""In: the wording of a prompt, as Jinja, and values. Out: text in which the values stand as they are.

Values are inserted and never rendered: a text that holds ``{{ 7 * 7 }}`` says ``{{ 7 * 7 }}``. The sandbox keeps a
wording that somebody passed on from reaching anything but its values, and a name that it misspells is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from vaner.errors import near
from vaner.prompting.keys import Where

SYSTEM = """\
You find mentions of entities in biomedical text.
{% for type in types %}
{{ type }}{% if definitions[type] %}: {{ definitions[type] }}{% endif %}

{% endfor %}
{% if dataset %}
Annotate as the {{ dataset }} corpus does.
{% endif %}
{% if guideline %}
How mentions are marked:
{{ guideline }}

{% endif %}
{{ rules }}"""

USER = """\
{% for passage in passages %}
From {{ passage.source }}: {{ passage.text }}
{% endfor %}
{% for name in names %}
{{ name.text }}
{% endfor %}
{{ question }}"""

# How the answers of the steps around the marking are to be written (`vaner.prompting.steps`).
REASON = """\
List every mention of these types in the text below, a line each: its words exactly as they stand there, its type, and
in a few words why it is one. Write "none" where there is none. Do not write the text again."""

CORRECT = """\
Check the answer above against {% if guideline %}the guideline{% else %}what is said of the types{% endif %}:
take out what is no mention, add what was missed, correct where mentions begin and end, and leave the rest as it is.
Then write the whole answer again, in the same form, also where nothing is to be corrected."""

# What a wording may name. What stands in the system message is the same for every text, so that its keys and values
# are computed once: it may not show the text.
_OF_TYPES = ("types", "definitions", "dataset", "guideline")
_FIXED = (*_OF_TYPES, "rules")
_OF_TEXT = ("question", "text", "names", "passages")
VARIABLES = {
    "system": _FIXED,
    "user": (*_FIXED, *_OF_TEXT),
    "reason": _OF_TYPES,
    "correct": _OF_TYPES,
}


@cache
def _environment() -> ImmutableSandboxedEnvironment:
    return ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True
    )


def wording(value: Any, where: Where) -> str:
    """Check a wording; ``where.key`` is one of VARIABLES.

    Raises:
        VanerError: not a text, not Jinja, a name that is none of VARIABLES, or a user's turn that shows no text.
    """
    if not isinstance(value, str):
        raise where.wrong(f"must be a text, not {value!r:.60}")
    known = VARIABLES[where.key]
    try:
        named = meta.find_undeclared_variables(_environment().parse(value))
    except TemplateSyntaxError as error:
        raise where.wrong(f"line {error.lineno}: not Jinja ({error.message}); correct it") from None
    for name in sorted(named - set(known)):
        hint = near(name, known) or f"known: {', '.join(known)}"
        raise where.wrong(f"unknown name {name!r}; {hint}")
    if where.key == "user" and not named & {"question", "text"}:
        raise where.wrong("shows no text; write {{ question }} where it is to stand")
    return value


def shows(template: str, name: str) -> bool:
    """Whether a wording names a value."""
    return name in meta.find_undeclared_variables(_environment().parse(template))


def say(template: str, values: Mapping[str, Any], where: Where) -> str:
    """The wording with its values.

    Raises:
        VanerError: what the wording does with its values cannot be done.
    """
    try:
        return _environment().from_string(template).render(values).strip()
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        raise where.wrong(f"cannot be said ({str(error) or type(error).__name__}); correct it") from None
