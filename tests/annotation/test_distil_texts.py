"""A student learns from no document that dev or test has, and from nothing that anybody found in the others."""

import json

import pytest
import yaml

from vaner.annotation import texts
from vaner.annotation.teacher import ADAPTIVE, ASKED_AS
from vaner.corpora.overlap import Fingerprints, held_out_fingerprints
from vaner.corpora.registry import read_registry
from vaner.errors import FormatError, VanerError
from vaner.formats import jsonl
from vaner.jobs.sources import plan
from vaner.jobs.units import FileReader
from vaner.report import Report

DEV = "Seven careful doctors saw that a stroke had come. It went."
TEST = {"id": "12345678", "text": "Aspirin was given."}


@pytest.fixture
def corpora(tmp_path):
    """A registry of a corpus with dev and test, one whose files are not here, and one that a model labelled."""
    entry = {
        "format": "jsonl",
        "types": {"Disease": "Disease"},
        "granularity": "abstract",
        "licence": "none",
        "citation": "none",
        "url": "none",
    }
    (tmp_path / "dev.jsonl").write_text(json.dumps({"id": "d", "text": DEV}) + "\n")
    (tmp_path / "test.jsonl").write_text(json.dumps(TEST) + "\n")
    entries = {
        "here": {**entry, "files": {"dev": ["dev.jsonl"], "test": ["test.jsonl"]}, "pmid": r"(\d+)"},
        "absent": {**entry, "files": {"train": ["x.jsonl"], "test": ["nowhere.jsonl"]}},
        "labelled": {**entry, "files": {"test": ["test.jsonl"]}, "distant": True},
    }
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({"corpora": entries}))
    return read_registry(tmp_path / "own.yaml")


def written(tmp_path, path, held_out, ways=None, reader=None):
    (source,) = plan([str(path)], tmp_path / "texts", "jsonl")
    counts = texts.write(
        source, reader or FileReader(on_error="raise"), held_out, ways or {ADAPTIVE: 1.0}, Report()
    )
    return counts, list(jsonl.read(source.output, on_error="raise", report=Report()))


def test_every_dev_and_test_split_that_is_here_is_held_out(corpora):
    here, absent = texts.held_out_splits(corpora, [], None)
    assert [(corpus.name, split) for corpus, split in here] == [("here", "dev"), ("here", "test")]
    assert absent == ["absent test"]
    hashes = texts.held_out_hashes(here, None)
    assert list(hashes) == ["here dev", "here test"] and len(set(hashes.values())) == 2


def test_planted_documents_are_found(corpora, raw, tmp_path):
    here, _ = texts.held_out_splits(corpora, [], None)
    path = raw(
        "raw.jsonl",
        [
            {"id": "a", "text": "Nothing of this is anywhere else, as far as we know."},
            {"id": "b", "text": f"It begins otherwise. {DEV.upper().replace(' ', '  ')}"},
            {"id": "c", "text": "Another text.", "metadata": {"pmid": 12345678}},
            {"id": "12345678", "text": "A third text."},
            {"id": "e", "text": "It went.", "metadata": {"pmid": "99"}},
            {"id": "f", "text": " \n "},
        ],
    )
    counts, found = written(tmp_path, path, lambda: held_out_fingerprints(here))
    assert [document.id for document in found] == ["raw/a", "raw/e"], "short sentences are everybody's"
    assert counts == {
        texts.READ: 6,
        texts.KEPT: 2,
        texts.SAME_SENTENCE: 1,
        texts.SAME_PMID: 2,
        texts.EMPTY: 1,
        "asked": {ADAPTIVE: 2},
    }


def test_what_others_found_stays_outside(raw, tmp_path):
    span = {"start": 0, "end": 7, "type": "Drug", "text": "Aspirin"}
    record = {
        "id": "a",
        "text": "Aspirin helped.",
        "spans": [span],
        "types": ["Drug"],
        "passages": [{"start": 0, "end": 15, "kind": "title"}],
        "metadata": {"tagged_by": {"model": "x"}, "licence": "CC BY", "pmid": 5, "infons": {"type": "Drug"}},
    }
    _, (found,) = written(tmp_path, raw("raw.jsonl", [record]), Fingerprints)
    assert found.text == "Aspirin helped." and found.spans == [] and found.types is None
    assert found.metadata == {"licence": "CC BY", "pmid": "5", ASKED_AS: ADAPTIVE}
    assert [passage.kind for passage in found.passages] == ["title"]


def test_how_a_text_is_asked_follows_from_its_id(raw, tmp_path):
    records = [{"id": f"d{i}", "text": "Aspirin helped."} for i in range(40)]
    ways = {"adaptive": 0.5, "bc5cdr": 0.5}
    counts, found = written(tmp_path, raw("raw.jsonl", records), Fingerprints, ways)
    _, turned = written(tmp_path / "again", raw("raw.jsonl", records[::-1]), Fingerprints, ways)
    assert {d.id: d.metadata[ASKED_AS] for d in found} == {d.id: d.metadata[ASKED_AS] for d in turned}
    assert sum(counts["asked"].values()) == 40 and min(counts["asked"].values()) > 8


def test_a_file_appears_whole_or_not_at_all(raw, tmp_path):
    path = raw("raw.jsonl", [{"id": "a", "text": "Aspirin helped."}])
    path.write_text(path.read_text() + "{broken\n")
    with pytest.raises(FormatError, match="raw.jsonl:2"):
        written(tmp_path, path, Fingerprints)
    assert not (tmp_path / "texts" / "raw.jsonl").exists()
    counts, found = written(tmp_path, path, Fingerprints, reader=FileReader(on_error="skip"))
    assert counts[texts.KEPT] == len(found) == 1


def test_nothing_left_is_said():
    counts = {texts.READ: 3, texts.KEPT: 0, texts.SAME_PMID: 2, texts.EMPTY: 1, "asked": {}}
    with pytest.raises(
        VanerError, match=r"no text is left .*3 documents read; 2 left out: dev or test has a doc"
    ):
        texts.check_not_empty([counts])
    texts.check_not_empty([counts, {**counts, texts.KEPT: 1}])
