"""In: what a YAML file has under its keys, a dataclass of what it may have. Out: the dataclass; each wrong value named.

A field says what its value may be by a check: ``k: int = key(0, whole(0))``. Messages name the file and the key:
``few-shot.yaml: shots.choose: unknown 'bm52'; did you mean bm25?``
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from vaner.errors import VanerError, near

Made = TypeVar("Made")

# Names under which somebody would write a key, and how the keys of well-known services look.
_SECRET_NAMES = {"api_key", "apikey", "key", "token", "secret", "password", "authorization", "access_token"}
_SECRET = re.compile(
    r"\b(?:(?:sk|pk|rk|xai|gsk|hf|ghp|glpat)[-_][A-Za-z0-9_-]{16,}|AIza[0-9A-Za-z_-]{30,}|AKIA[0-9A-Z]{16}|"
    r"eyJ[A-Za-z0-9_-]{16,}\.\S+|Bearer\s+\S{8,})|://[^/\s:@]+:[^/\s@]+@"
)
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")


@dataclass(frozen=True)
class Where:
    """A key of a file, for messages.

    Attributes:
        file: path of the file.
        key: with those around it, as ``shots.choose``; empty for the file itself.
    """

    file: str
    key: str = ""

    def under(self, key: object) -> Where:
        """A key inside this one."""
        return Where(self.file, f"{self.key}.{key}" if self.key else str(key))

    def wrong(self, why: str) -> VanerError:
        """The error that names this place."""
        return VanerError(f"{self.file}: {self.key}: {why}" if self.key else f"{self.file}: {why}")


Check = Callable[[Any, Where], Any]


def key(default: Any, check: Check, *, name: str = "") -> Any:
    """A field of a dataclass.

    Args:
        default: taken where the file does not have the key, or nothing under it.
        check: makes the value of what the file has, or raises VanerError.
        name: of the key, where Python does not allow it as a name.
    """
    more = {"check": check, "name": name}
    return field(default_factory=default, metadata=more) if callable(default) else field(
        default=default, metadata=more)  # fmt: skip


def made(cls: type[Made], values: Any, where: Where) -> Made:
    """The dataclass of a mapping.

    Raises:
        VanerError: no mapping, an unknown key, a wrong value.
    """
    if not isinstance(values, Mapping):
        raise where.wrong(f"must be a mapping of keys to values, not {_shown(values)}")
    own = {one.metadata["name"] or one.name: one for one in fields(cls) if one.metadata}  # type: ignore[arg-type]
    check_names(values, own, where)
    return cls(
        **{
            one.name: one.metadata["check"](values[called], where.under(called))
            for called, one in own.items()
            if values.get(called) is not None
        }
    )


def check_names(found: Collection[object], known: Collection[str], where: Where) -> None:
    """Raise VanerError for the first key that is not known, with the nearest that is."""
    for one in found:
        if one not in known:
            hint = near(str(one), known) or f"known: {', '.join(known)}"
            raise where.wrong(f"unknown key {_shown(one)}; {hint}")


def refuse_secrets(values: Any, where: Where) -> None:
    """Raise VanerError where a value is, or is called, what must stand in no file; never shows it."""
    if isinstance(values, Mapping):
        for name, value in values.items():
            if str(name).casefold() in _SECRET_NAMES and isinstance(value, str):
                raise where.under(name).wrong(
                    "a key stands in no file; put it into an environment variable and name that in key_variable"
                )
            refuse_secrets(value, where.under(name))
    elif isinstance(values, list):
        for number, value in enumerate(values):
            refuse_secrets(value, where.under(number))
    elif isinstance(values, str) and _SECRET.search(values):
        raise where.wrong(
            "looks like a key or a password; put it into an environment variable and name that in key_variable"
        )


# --- checks ---


def text(value: Any, where: Where) -> str:
    """A string that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise where.wrong(f"must be a text, not {_shown(value)}")
    return value


def flag(value: Any, where: Where) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise where.wrong(f"must be true or false, not {_shown(value)}")
    return value


def texts(value: Any, where: Where) -> tuple[str, ...]:
    """A string, or a list of them."""
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(one, str) and one for one in listed):
        raise where.wrong(f"must be a list of texts, not {_shown(value)}")
    return tuple(listed)


def one_of(*known: str) -> Check:
    """One of some words."""

    def check(value: Any, where: Where) -> str:
        # YAML takes a bare no or off for false.
        value = {False: "none"}.get(value, value) if isinstance(value, bool) and "none" in known else value
        if value not in known:
            raise where.wrong(
                f"unknown {_shown(value)}; {near(str(value), known) or 'choose ' + ', '.join(known)}"
            )
        return str(value)

    return check


def whole(least: int) -> Check:
    """A whole number from ``least``."""

    def check(value: Any, where: Where) -> int:
        if type(value) is not int or value < least:
            raise where.wrong(f"must be a whole number from {least}, not {_shown(value)}")
        return value

    return check


def number(least: float, most: float = float("inf")) -> Check:
    """A number from ``least`` to ``most``."""

    def check(value: Any, where: Where) -> float:
        if type(value) not in (int, float) or not least <= value <= most:
            upto = "" if most == float("inf") else f" to {most:g}"
            raise where.wrong(f"must be a number from {least:g}{upto}, not {_shown(value)}")
        return float(value)

    return check


def variable(value: Any, where: Where) -> str:
    """The name of an environment variable; whatever else stands there is not shown."""
    if not isinstance(value, str) or not _VARIABLE.fullmatch(value):
        raise where.wrong(
            "must be the name of an environment variable, in capitals, such as OPENAI_API_KEY; never a key"
        )
    return value


def mapping(value: Any, where: Where) -> dict[str, Any]:
    """Names and whatever they stand for."""
    if not isinstance(value, Mapping):
        raise where.wrong(f"must be a mapping of names to values, not {_shown(value)}")
    return {str(name): given for name, given in value.items()}


def path(value: Any, where: Where) -> str:
    """A path; one that is not absolute is relative to the file that names it."""
    found = Path(text(value, where)).expanduser()
    return str(found if found.is_absolute() else (Path(where.file).parent / found).resolve())


def section(cls: type[Any]) -> Check:
    """Another dataclass of keys."""
    return lambda value, where: made(cls, value, where)


def _shown(value: object) -> str:
    return repr(value)[:60]
