"""Which files a command line means, and where each goes."""

import os

import pytest

from vaner.errors import VanerError
from vaner.formats import read
from vaner.jobs.sources import ending, plan


def tree(tmp_path, *names):
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    return tmp_path


def planned(words, output, **more):
    found = plan([str(word) for word in words], output, "jsonl", **more)
    return [(one.name, one.output.relative_to(output).as_posix()) for one in found]


def test_a_folder_is_read_to_the_bottom_in_order_and_without_hidden_files(tmp_path):
    folder = tree(tmp_path / "in", "b.pubtator", "a/2.xml.gz", "a/1.bioc.xml", ".hidden", ".git/x.txt")
    assert planned([folder], tmp_path / "out") == [
        ("a/1.bioc.xml", "a/1.jsonl"),
        ("a/2.xml.gz", "a/2.jsonl"),
        ("b.pubtator", "b.jsonl"),
    ]


def test_the_queue_of_a_run_is_read_where_it_is_named_only(tmp_path):
    names = ["out/a.jsonl", "out/.vaner/run.json", "out/queue/queue.json", "out/queue/documents/1.txt"]
    tree(tmp_path, *names, "out/queue/documents/1.ann", "in/queue/1.jsonl")
    for word in (tmp_path / "out", tmp_path / "out" / "**" / "*", tmp_path / "out" / "**"):
        assert [name for name, _ in planned([word], tmp_path / "other")] == ["a.jsonl"]
    assert planned([tmp_path / "out/queue/documents"], tmp_path / "other") == [
        ("documents", "documents.jsonl")
    ]
    named = planned([tmp_path / "out/queue/documents/*.txt"], tmp_path / "other")
    assert named == [("1.txt", "1.jsonl")]
    # Another folder of that name is one as any.
    assert planned([tmp_path / "in"], tmp_path / "other") == [("queue/1.jsonl", "queue/1.jsonl")]


def test_files_by_name_and_standard_input(tmp_path):
    tree(tmp_path, "x/v1.2", "y/n.conll")
    found = planned([tmp_path / "x/v1.2", tmp_path / "y/n.conll", "-"], tmp_path / "out")
    assert found == [("v1.2", "v1.2.jsonl"), ("n.conll", "n.jsonl"), ("stdin", "stdin.jsonl")]


def test_patterns_keep_what_lies_below_their_fixed_part(tmp_path):
    tree(tmp_path / "in", "1/a.xml", "1/b.txt", "2/deep/c.xml", "2/.d.xml")
    assert planned([tmp_path / "in/*/*.xml"], tmp_path / "out") == [("1/a.xml", "1/a.jsonl")]
    deep = planned([tmp_path / "in/**/*.xml"], tmp_path / "out")
    assert deep == [("1/a.xml", "1/a.jsonl"), ("2/deep/c.xml", "2/deep/c.jsonl")]
    whole = planned([tmp_path / "in/**"], tmp_path / "out")
    assert [name for name, _ in whole] == ["1/a.xml", "1/b.txt", "2/deep/c.xml"]
    assert planned([tmp_path / "in/*"], tmp_path / "out") == whole


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tmp_path):
    tree(tmp_path, "a[1].txt", "a1.txt")
    assert planned([tmp_path / "a[1].txt"], tmp_path / "out") == [("a[1].txt", "a[1].jsonl")]


def test_a_folder_of_brat_is_one_source(tmp_path):
    tree(tmp_path / "in", "notes/1.txt", "notes/1.ann", "notes/below/2.txt", "other/3.txt")
    assert planned([tmp_path / "in"], tmp_path / "out") == [
        ("notes", "notes.jsonl"),
        ("other/3.txt", "other/3.jsonl"),
    ]
    assert planned([tmp_path / "in/notes"], tmp_path / "out") == [("notes", "notes.jsonl")]


def test_the_output_folder_is_not_read_even_where_it_lies_inside(tmp_path):
    tree(tmp_path, "a.txt", "out/a.jsonl", "out/.vaner/manifest.jsonl")
    assert planned([tmp_path], tmp_path / "out") == [("a.txt", "a.jsonl")]


def test_what_a_run_says_of_itself_is_no_document(tmp_path):
    tree(tmp_path, "out/a.jsonl", "out/rejected.jsonl", "out/.vaner/manifest.jsonl", "out/sub/rejected.jsonl")
    for word in (tmp_path / "out", tmp_path / "out/**"):
        assert [name for name, _ in planned([word], tmp_path / "other")] == ["a.jsonl", "sub/rejected.jsonl"]


def test_named_twice_is_read_once(tmp_path):
    tree(tmp_path / "in", "a.txt")
    assert planned([tmp_path / "in", tmp_path / "in/a.txt", tmp_path / "in/*"], tmp_path / "out") == [
        ("a.txt", "a.jsonl")
    ]


def test_gzip(tmp_path):
    tree(tmp_path / "in", "a.txt", "b.txt.gz")
    words = [tmp_path / "in"]
    assert [o for _, o in planned(words, tmp_path / "out", gzip="keep")] == ["a.jsonl", "b.jsonl.gz"]
    assert [o for _, o in planned(words, tmp_path / "out", gzip="all")] == ["a.jsonl.gz", "b.jsonl.gz"]


def test_what_is_compressed_already_is_not_compressed_again(tmp_path):
    tree(tmp_path / "in", "a.txt.gz")
    for packed in ("parquet", "zip"):
        (one,) = plan([str(tmp_path / "in")], tmp_path / "out", packed, gzip="all")
        assert one.output.name == f"a.{packed}"


def test_a_pipe_is_refused_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(VanerError, match="pipe: is a pipe; give it as standard input"):
        planned([tmp_path / "pipe"], tmp_path / "out")
    with pytest.raises(VanerError, match="pipe: is a pipe; give it as standard input"):
        read(tmp_path / "pipe")


def test_links_that_go_round_in_a_circle_are_read_once(tmp_path):
    folder = tree(tmp_path / "in", "a.txt", "sub/b.txt")
    for name, target in (("sub/up", ".."), ("sub/here", "."), ("sub/nowhere", "gone")):
        (folder / name).symlink_to(target)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "c.txt").write_text("x")
    (folder / "z").symlink_to(tmp_path / "other")
    assert planned([folder], tmp_path / "out") == [
        ("a.txt", "a.jsonl"),
        ("sub/b.txt", "sub/b.jsonl"),
        ("z/c.txt", "z/c.jsonl"),
    ]


def test_each_word_is_a_source_where_told_so(tmp_path):
    assert planned(["owner/corpus"], tmp_path / "out", verbatim=True) == [
        ("owner--corpus", "owner--corpus.jsonl")
    ]
    (tmp_path / "set").mkdir()
    assert planned([tmp_path / "set"], tmp_path / "out", verbatim=True) == [("set", "set.jsonl")]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere.txt"], "nowhere.txt: no such file; check the path"),
        (["*.nothing"], "*.nothing: matches no file; check the pattern"),
        (["empty"], "empty: holds no file to read"),
        (["in/a.txt", "in/a.xml"], "in/a.txt and in/a.xml would both become"),
        (["in/b.jsonl"], "in/b.jsonl: is the input in/b.jsonl; name another folder"),
    ],
)
def test_what_cannot_be_planned(tmp_path, monkeypatch, words, says):
    tree(tmp_path / "in", "a.txt", "a.xml", "b.jsonl")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VanerError) as error:
        plan(words, "in" if "b.jsonl" in words[0] else "out", "jsonl")
    assert says in str(error.value)


def test_endings():
    assert [ending(one) for one in ("jsonl", "bioc", "bioc:syntax=json", "conll:scheme=iobes", "brat")] == [
        "jsonl", "xml", "json", "conll", "zip",
    ]  # fmt: skip
    assert ending("parquet") == "parquet"


def test_a_dataset_of_the_hub_is_one_source(tmp_path):
    (source,) = plan(["hf:owner/name"], tmp_path, "jsonl")
    assert (source.path, source.name, source.output) == (
        "hf:owner/name",
        "owner--name",
        tmp_path / "owner--name.jsonl",
    )
    assert source.size() is None
