"""In: a model's folder, the name of a hub repository. Out: what goes there and what stays, and it there.

folder --plan--> Publication: the files of the model, its card with scores, no places of this machine
       --publish--> one commit in the repository, or a pull request

What goes is listed, so nothing else can: optimizer states, checkpoints, logs, results and texts stay.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from vaner.errors import VanerError
from vaner.model import card
from vaner.model.catalogue import EMBEDDED, why
from vaner.model.config import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    BACKBONE_FOLDER,
    CARD_NAME,
    CONFIG_NAME,
    GENERATE,
    GENERATOR_NAME,
    HEAD_WEIGHTS,
    ModelConfig,
)
from vaner.model.hashing import model_hash, weight_files, weights_hash
from vaner.model.scored import read_scores

# What scores and spans depend on. A repository keeps none of an earlier model that the folder has not.
_MODEL = (
    CONFIG_NAME,
    GENERATOR_NAME,
    HEAD_WEIGHTS,
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    f"{BACKBONE_FOLDER}/config.json",
    f"{BACKBONE_FOLDER}/*.safetensors",
    f"{BACKBONE_FOLDER}/*.safetensors.index.json",
)
_TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "*.model",
    "chat_template.jinja",
)
_BESIDE = (CARD_NAME, "LICENSE*", "NOTICE*", f"{BACKBONE_FOLDER}/generation_config.json")
_GOES = (*_MODEL, *_TOKENIZER, *_BESIDE)

# Cards say this where their folder is meant.
_THIS_FOLDER = "path/to/this/folder"
# /home/me/runs/x, ~/runs/x, C:\runs\x, but no URL, no share of a unit (mg/kg) and nothing relative.
_PLACE = re.compile(r"(?<![\w./:~\\-])(?:~?(?:/[\w.@+~-]+){2,}/?|[A-Za-z]:\\(?:[\w.@+~ -]+\\?)+)")

#: What an HTTP library, the hub's client and the disk raise; the first is a base of the hub's own errors.
HUB_ERRORS: tuple[type[BaseException], ...] = (*HfHubHTTPError.__bases__, ValueError, RuntimeError)


@dataclass(frozen=True)
class File:
    """A file as it will be in the repository.

    Attributes:
        name: there.
        content: its bytes, or where they lie.
    """

    name: str
    content: bytes | Path

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size


@dataclass(frozen=True)
class Publication:
    """What goes into a repository.

    Attributes:
        repository: ``owner/name``, or ``name`` of whoever is logged in.
        files: by name.
        left_out: files and folders that stay, a folder's name with a slash.
        notes: what was changed on the way.
    """

    repository: str
    files: list[File]
    left_out: list[str]
    notes: list[str]

    @property
    def results(self) -> list[tuple[str, str | None, str, float]]:
        """Dataset, split, metric and value of every evaluation result in the card's metadata."""
        (text,) = (one.content for one in self.files if one.name == CARD_NAME)
        return card.results(text.decode("utf-8")) if isinstance(text, bytes) else []


def check_name(repository: str) -> None:
    """Raise VanerError where this can be no repository's name."""
    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise VanerError(
            f"{repository}: no name of a hub repository ({why(error)}); write owner/name"
        ) from None


def plan(folder: str | Path, repository: str, scores: Iterable[str | Path] = ()) -> Publication:
    """What of a model's folder would go to the hub; nothing is sent.

    Args:
        folder: of the model.
        repository: ``owner/name``.
        scores: files that ``evaluate --json`` wrote, for the card; without any it has the dev scores of the run.

    Raises:
        VanerError: not a model, a damaged one, one that works on this machine only, or scores of another model.
    """
    check_name(repository)
    folder = Path(folder)
    settings = ModelConfig.load(folder)
    _check_whole(folder, settings)
    scores = list(scores)
    evaluations = read_scores(scores, model_hash(folder)) if scores else []
    every = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    names = [name for name in every if any(_is(name, pattern) for pattern in _GOES)]
    changed: list[str] = []
    files = {name: _file(folder, name, changed) for name in names}
    text = ""
    if CARD_NAME in files:
        text = _text(folder / CARD_NAME)
    text = card.with_scores(text or card.render(settings), settings, evaluations)
    written = placeless(text)
    if written != text:
        changed.append(CARD_NAME)
    files[CARD_NAME] = File(CARD_NAME, written.replace(_THIS_FOLDER, repository).encode("utf-8"))
    notes = [f"{name}: places on this machine are left out" for name in changed]
    left_out = _outermost(set(every) - set(names), names)
    return Publication(repository, [files[name] for name in sorted(files)], left_out, notes)


def publish(
    publication: Publication,
    *,
    private: bool | None = None,
    revision: str | None = None,
    message: str = "Upload of a VANER model",
    create_pr: bool = False,
    token: str | bool | None = None,
) -> str:
    """Put it there in one commit; weights of an earlier model that the new one has not are removed in the same.

    Args:
        publication: of `plan`.
        private: make a repository that is not there yet private; None leaves it to its owner's settings.
        revision: branch, made where it is missing; None is the main one.
        message: of the commit.
        create_pr: as a pull request against the branch.
        token: for the hub; None is that of its own login.

    Returns:
        the address of the commit, or of the pull request.

    Raises:
        VanerError: the hub was not reached or refused, or the repository is public where private was asked.
    """
    api = HfApi(token=token, library_name="vaner")
    name = made(api, publication.repository, private)
    try:
        if revision is not None and not create_pr:
            api.create_branch(name, branch=revision, exist_ok=True)
        there = api.list_repo_files(name, revision=revision)
        ours = {one.name for one in publication.files}
        stale = [one for one in there if one not in ours and any(_is(one, pattern) for pattern in _MODEL)]
        done = api.create_commit(
            name,
            [
                *(CommitOperationAdd(one.name, one.content) for one in publication.files),
                *(CommitOperationDelete(one, is_folder=False) for one in stale),
            ],
            commit_message=message,
            revision=revision,
            create_pr=create_pr,
        )
    except HUB_ERRORS as error:
        # What failed while a file was sent is behind what says which file it was.
        reason = why(error) if error.__cause__ is None else f"{why(error)} {why(error.__cause__)}"
        raise VanerError(
            f"{publication.repository}: the upload broke off ({reason}); the repository has all of it or nothing; once "
            "that is mended run the same again: what has arrived is not sent twice"
        ) from error
    return str((done.pr_url if create_pr else None) or done.commit_url)


def made(api: HfApi, repository: str, private: bool | None = None) -> str:
    """The full name of a repository, made where it is missing.

    Raises:
        VanerError: it could not be made, or is public where private was asked.
    """
    try:
        name = api.create_repo(repository, private=private, exist_ok=True).repo_id
        public = private and not api.repo_info(name).private
    except HUB_ERRORS as error:
        raise VanerError(f"{repository}: could not be made on the hub ({why(error)})") from error
    if public:
        raise VanerError(
            f"{repository}: is there already, and public; make it private in its settings first, or choose another name"
        )
    return name


def placeless(text: str) -> str:
    """The text without where on this machine things lie: of a path, its last part."""
    return _PLACE.sub(lambda found: re.split(r"[\\/]", found[0].rstrip("\\/"))[-1], text)


def _is(name: str, pattern: str) -> bool:
    # To fnmatch a star is any character, to us none that parts folders.
    return name.count("/") == pattern.count("/") and fnmatchcase(name, pattern)


def _check_whole(folder: Path, settings: ModelConfig) -> None:
    """Refuse what would not load elsewhere."""
    needed = [GENERATOR_NAME if settings.head == GENERATE else HEAD_WEIGHTS, "tokenizer.json"]
    parts = (ADAPTER_CONFIG, ADAPTER_WEIGHTS)
    if any((folder / part).exists() for part in parts):
        needed += parts
    for name in needed:
        if not (folder / name).is_file():
            raise VanerError(f"{folder}: {name} is missing; push the whole model folder")
    own = settings.backbone == BACKBONE_FOLDER
    for part in [folder, *([folder / BACKBONE_FOLDER] if own else [])]:
        if weight_files(part):
            weights_hash(part)  # raises where a file is cut short
        elif part != folder:
            raise VanerError(f"{part}: no weights here; push the whole model folder")
    if not own and settings.backbone not in EMBEDDED and _is_place(settings.backbone):
        raise VanerError(
            f"{folder}: its backbone is the folder {settings.backbone}, which nobody else has; push one that stands "
            f"alone: python -m vaner merge {folder} --output NEW"
        )


def _is_place(backbone: str) -> bool:
    return backbone.count("/") != 1 or backbone.startswith((".", "/", "~")) or Path(backbone).is_dir()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise VanerError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from None


def _file(folder: Path, name: str, changed: list[str]) -> File:
    """A file of the folder, without places of this machine where it could hold some; those are told."""
    path = folder / name
    without = _WITHOUT_PLACES.get(name)
    if without is None:
        return File(name, path)
    try:
        content = json.loads(_text(path))
    except ValueError as error:
        raise VanerError(f"{path}: not JSON ({error}); copy the model again") from None
    found = without(content)
    if found == content:
        return File(name, path)
    changed.append(name)
    return File(name, (json.dumps(found, indent=2, ensure_ascii=False) + "\n").encode("utf-8"))


def _inside(content: Any) -> Any:
    """`placeless` of every text in it."""
    if isinstance(content, str):
        return placeless(content)
    if isinstance(content, list):
        return [_inside(one) for one in content]
    if isinstance(content, dict):
        return {placeless(key): _inside(value) for key, value in content.items()}
    return content


# Only of the record: a wording of the instruction is read by the model as it is.
_WITHOUT_PLACES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    CONFIG_NAME: lambda content: {**content, "training": _inside(content.get("training", {}))},
    ADAPTER_CONFIG: _inside,
    "tokenizer_config.json": lambda content: {
        key: _inside(value) if key.endswith(("_path", "_file")) else value for key, value in content.items()
    },
}


def _outermost(stay: Iterable[str], go: Iterable[str]) -> list[str]:
    """Files that stay; those in folders of which nothing goes as that folder."""
    parted = {name.split("/")[0] for name in go}
    return sorted(
        {f"{top}/" if "/" in name and (top := name.split("/")[0]) not in parted else name for name in stay}
    )
