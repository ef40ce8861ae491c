"""In: files. Out: that `view` writes a page of any of them and opens it, and says what is not on it."""

import stat
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest

from tests.conftest import SAMPLES
from vaner.cli import main


@pytest.fixture
def opened(monkeypatch, tmp_path):
    """Addresses that a browser was asked for; temporary files lie in tmp_path/pages."""
    found = []
    monkeypatch.setattr("webbrowser.open", lambda url: found.append(url) or True)
    (tmp_path / "pages").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "pages"))
    return found


def view(*words):
    return main(["view", *map(str, words)])


@pytest.mark.parametrize("name", ["abstracts.pubtator", "linnaeus/dev.tsv"])
def test_a_page_is_written_and_opened(opened, name, capsys):
    assert view(SAMPLES / name) == 0
    (url,) = opened
    page = Path(unquote(urlparse(url).path))
    assert page.suffix == ".html" and f"<title>{Path(name).name}</title>" in page.read_text()
    assert f"documents -> {page}" in capsys.readouterr().err
    assert stat.S_IMODE(page.parent.stat().st_mode) == 0o700


def test_a_named_page_without_browser(opened, tmp_path):
    page = tmp_path / "a page.html"
    assert view(SAMPLES / "abstracts.pubtator", "--output", page, "--no_browser") == 0
    assert "<i>8165771</i>" in page.read_text() and not opened
    assert view(SAMPLES / "abstracts.pubtator", "--output", page) == 0
    assert opened == [page.as_uri()]


def test_only_some_documents(opened, make, tmp_path, capsys):
    source = make("in.jsonl", "".join(f'{{"id": "n{i}", "text": "x"}}\n' for i in range(5)))

    def shown(*words):
        assert view(source, "--output", tmp_path / "p.html", *words) == 0
        page = (tmp_path / "p.html").read_text()
        return [i for i in range(5) if f"<i>n{i}</i>" in page], "only documents" in capsys.readouterr().err

    assert shown() == ([0, 1, 2, 3, 4], False)
    assert shown("--first", "5") == ([0, 1, 2, 3, 4], False)
    assert shown("--first", "2") == ([0, 1], True)
    assert shown("--first", "2", "--skip", "3") == ([3, 4], False)


def test_without_a_browser_it_says_where_the_page_is(opened, monkeypatch, capsys):
    monkeypatch.setattr("webbrowser.open", lambda url: False)
    assert view(SAMPLES / "abstracts.pubtator") == 0
    assert "note: no browser was found; open " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere.jsonl"], "nowhere.jsonl: No such file"),
        (["broken.jsonl"], "broken.jsonl:1: "),
        (["broken.jsonl", "--first", "0"], "--first 0: give a number from 1"),
        (["broken.jsonl", "--output", "broken.jsonl"], "is the input"),
    ],
)
def test_bad_input_leaves_nothing(opened, make, monkeypatch, tmp_path, capsys, words, says):
    make("broken.jsonl", '{"id": "1", "te\n')
    monkeypatch.chdir(tmp_path)
    assert view(*words) == 2
    assert says in capsys.readouterr().err
    assert not opened and not list((tmp_path / "pages").iterdir())
