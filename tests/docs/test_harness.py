"""In: pages that are wrong in one way each. Out: the harness says so; what is right passes."""

from __future__ import annotations

import pytest

from tests.docs import commands, names
from tests.docs.blocks import blocks, complaint
from tests.docs.running import absent, run


def shown(tmp_path, text: str):
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    return blocks(page)


def test_a_block_knows_its_mark_and_its_line(tmp_path):
    text = (
        "# A\n\n<!-- not run: needs 8 GPUs -->\n\n```bash\nmake test\n```\n\ntext\n\n```python\nx = 1\n```\n"
    )
    first, second = shown(tmp_path, text)
    assert (first.mark, first.said, first.line, first.language) == ("not run", "needs 8 GPUs", 6, "bash")
    assert (second.mark, second.line, second.is_run, first.is_run) == ("", 12, True, False)
    assert complaint(first) is None and complaint(second) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("    make test\n", "is indented code"),
        ("```\nmake test\n```\n", "has the language ''"),
        ("```console\n$ make test\n```\n", "has the language 'console'"),
        ("```text\nwhatever\n```\n", "is text without a mark"),
        ("<!-- not run -->\n```bash\nmake test\n```\n", "is marked 'not run' without more"),
        ("<!-- not run: -->\n```bash\nmake test\n```\n", "without more"),
        ("<!-- notrun: why not -->\n```bash\nmake test\n```\n", "has the mark 'notrun'"),
        ("<!-- slow: a while -->\n```bash\nls\n```\n", "slow takes nothing, or CORPORA"),
        ("<!-- slow -->\n```yaml\na: 1\n```\n", "not slow either"),
        ("<!-- output -->\n```bash\nls\n```\n", "write text"),
        ("```bash\nls\npip install x\n```\n", "has pip, which no test may run"),
        ("<!-- slow -->\n```bash\npython -m vaner serve --port 1\n```\n", "has serve, which no test may run"),
    ],
)
def test_what_is_neither_run_nor_marked(tmp_path, text, said):
    (block,) = shown(tmp_path, text)
    assert said in (complaint(block) or "")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("python predict.py --input a --output b --tpyes Disease", "predict takes no --tpyes"),
        ("python -m vaner evaluate --corpus x --gone 1", "evaluate takes no --gone"),
        ("python -m vaner kb lookups open cancer", "invalid choice"),
        ("python -m vaner annotated report x", "there is no command annotated"),
        ("python -m vaner annotate report x --gone y", "annotate_report takes no --gone"),
        ("python predict.py ... --gone 1", "predict takes no --gone"),
        ("python predict.py --output b", "required: --input"),
        ("accelerate launch --multi_gpu train.py --mix x --learnin_rate 1", "unknown flag --learnin_rate"),
        ("python train.py --config configs/gone.yaml", "there is no configs/gone.yaml"),
        ('F="--gone 1"\npython train.py --mix x $F', "unknown flag --gone"),
        ("python -m vaner distil --teacher a --input b --output c -- --gone 1", "unknown flag --gone"),
        ("for i in 1 2; do\n  python -m vaner view a --gone\ndone", "view takes no --gone"),
        ("python benchmarks/compare.py --gone 1", "has no flag --gone"),
        ('python benchmarks/compare.py --variant "x: --gone 1"', "unknown flag --gone"),
        ("python benchmarks/gone.py", "there is no benchmarks/gone.py"),
        ("pip install 'vaner[gone]'", "no extra gone"),
        ("make gone", "no target gone"),
    ],
)
def test_commands_that_would_fail(code, said):
    found = commands.complaints(code)
    assert len(found) == 1 and said in found[0], found


@pytest.mark.parametrize(
    "code",
    [
        "python predict.py --input 'pubmed/**/*.gz' --output tagged/ --types A \\\n    --processes 4  # all of it",
        "ls a | wc -l > b 2> c; X=1 python -m vaner view tagged.jsonl && echo 'it is done'",
        "python predict.py ... --min_score 0.5 Disease=0.6",
        "python train.py --mix x --max_minutes ${MINUTES:-4}",
        "pip install 'vaner[prompted,documents]' other",
        "srun ray start -- python predict.py --input a/ --output b/ --on ray",
    ],
)
def test_commands_that_would_work(code):
    assert commands.complaints(code) == []


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("from vaner.formats import read, gone", "there is no vaner.formats.gone"),
        ("import vaner.gone", "there is no vaner.gone"),
        ("import vaner\nvaner.Vaner.from_pretraind('x')", "there is no vaner.Vaner.from_pretraind"),
        (
            "from vaner.tagging.settings import TaggingSettings as S\nS(tpyes=())",
            "vaner.tagging.settings.TaggingSettings has no argument tpyes",
        ),
    ],
)
def test_python_names_that_are_gone(code, said):
    assert names.complaints(code) == [said]


def test_python_names_that_exist():
    code = (
        "import gliner\nimport vaner\nfrom vaner.tagging.settings import TaggingSettings\n"
        "TaggingSettings(types=('Disease',))\nvaner.Vaner.from_pretrained('x', device='cpu').types\n"
    )
    assert names.complaints(code) == []


def test_names_in_sentences():
    text = (
        "`vaner.formats.read`, `vaner/cli/kb.py`, `vaner.json`, "
        "`configs/mine.yaml`, `vaner.formats.gone`, `vaner/gone.py`\n"
    )
    assert names.in_prose(text) == [
        "there is no file configs/mine.yaml",
        "there is no vaner.formats.gone",
        "there is no file vaner/gone.py",
    ]


def test_blocks_of_a_page_share_names_and_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = shown(
        tmp_path,
        "<!-- file: a.txt -->\n```text\none\n```\n\n```python\nx = open('a.txt').read()\n```\n\n"
        "```bash\necho two >> a.txt\n```\n\n```python\nprint(x + open('a.txt').read())\n```\n\n"
        "<!-- output -->\n```text\none\n...\ntwo\n```\n\n<!-- slow -->\n```python\nraise SystemError\n```\n",
    )
    assert run(page, tmp_path, slow=False).split() == ["one", "one", "two"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# A\n\n```python\nx = 1\nx.gone()\n```\n", r"page\.md:4: [^$]*line 5"),
        ("```bash\nfalse | true\n```\n", r"page\.md:2: status 1"),
        ("```python\nprint('a b')\n```\n<!-- output -->\n```text\na c\n```\n", "was not printed: 'a c'"),
    ],
)
def test_blocks_that_fail(tmp_path, text, said):
    with pytest.raises(pytest.fail.Exception, match=said):
        run(shown(tmp_path, text), tmp_path, slow=False)


def test_output_is_compared_in_order():
    assert absent("b\na", "a\nb\n") == "a"
    assert absent("a\n...\nc", "a\nb\nc\n") is None
    assert absent("a 1 ...\nb", "a 1 0.97\nb\n") is None
    assert absent("a 1 ...\nb", "a 2 0.97\nb\n") == "a 1 ..."
    assert absent("a\na", "a\n") == "a"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            "python -m vaner view a  # yes\n\npython predict.py \\\n  --input a",
            [["view", "a"], ["predict", "--input", "a"]],
        ),
        ("python -m vaner view a | head", None),
        ("python -m vaner view a > b", None),
        ("python -m vaner view *.txt", None),
        ("python train.py --mix a", None),
        ("ls", None),
    ],
)
def test_what_needs_no_shell(code, words):
    assert commands.alone(code) == words


def test_a_command_of_ours_that_fails(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = shown(tmp_path, "```bash\npython -m vaner convert gone.txt a.jsonl\n```\n")
    with pytest.raises(pytest.fail.Exception, match=r"page\.md:2: .*status 2[^$]*gone\.txt"):
        run(page, tmp_path, slow=False)
