"""vaner.files: hashes, YAML, files that appear whole, and what is shipped."""

import hashlib
import shutil

import pytest

from vaner import files
from vaner.errors import FormatError, VanerError


def test_hash_of_a_file_and_of_a_folder(tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    assert files.sha256(tmp_path / "a") == hashlib.sha256(b"x").hexdigest()
    before = files.sha256(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert files.sha256(tmp_path) != before


def test_writing_leaves_the_old_file_where_it_fails(tmp_path):
    path = tmp_path / "scores.json"
    files.write_text(path, "old")
    with pytest.raises(VanerError):
        files.write_text(path, "new \ud800")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a: [1\nb: 2\n", r"x\.yaml:\d+: not YAML"),
        (b"- a\n- b\n", r"x\.yaml: no mapping; write lines"),
        (b"a: caf\xe9\n", r"x\.yaml: byte \d+ is not UTF-8"),
    ],
)
def test_yaml_that_is_none_is_named(tmp_path, content, says):
    (tmp_path / "x.yaml").write_bytes(content)
    with pytest.raises(FormatError, match=says):
        files.read_yaml(tmp_path / "x.yaml")


def test_empty_yaml_is_an_empty_mapping(tmp_path):
    (tmp_path / "x.yaml").write_text("# nothing yet\n")
    assert files.read_yaml(tmp_path / "x.yaml") == {}


def test_what_is_shipped_is_found_inside_the_package_and_beside_it(tmp_path, monkeypatch):
    package = tmp_path / "vaner"
    package.mkdir()
    data = files.shipped("data")
    monkeypatch.setattr(files.importlib.resources, "files", lambda name: package)
    with pytest.raises(VanerError, match="data: is missing; install vaner again"):
        files.shipped("data")
    shutil.copytree(data / "samples", tmp_path / "data" / "samples")
    shutil.copy(data / "README.md", tmp_path / "data")
    assert files.shipped("data") == tmp_path / "data"
    (package / "data").mkdir()
    shutil.copy(data / "README.md", package / "data")
    assert files.shipped("data") == package / "data"
