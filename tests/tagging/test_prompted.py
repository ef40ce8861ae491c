"""In: documents, answers of a made-up model. Out: their mentions at the right places; nothing lost unsaid."""

import json
import pickle

import pytest

from tests.prompting.fake import FakeBackend, failing, tag
from vaner.document import Document, Span
from vaner.errors import VanerError
from vaner.prompting import opening
from vaner.prompting.found import CAUSES
from vaner.prompting.opening import prompter
from vaner.prompting.request import REFUSED, Abilities, Answer, Failure, Unavailable
from vaner.prompting.sending import Sender
from vaner.prompting.settings import PromptSettings
from vaner.prompting.store import RequestStore
from vaner.tagging.identity import tagger_hash, unloaded
from vaner.tagging.loading import load
from vaner.tagging.prompted import PromptedTagger
from vaner.tagging.settings import TaggingSettings

TYPES = ["Disease", "Chemical"]
KNOWN = {"Aspirin": "Chemical", "aspirin": "Chemical", "headache": "Disease", "fever": "Disease"}
TEXTS = ["Aspirin helps.", "No headache today. But aspirin.", "Nothing here.", ""]


def documents(*texts):
    return [Document(f"d{i}", text) for i, text in enumerate(texts or TEXTS)]


def tagger(
    says=lambda request: tag(request.messages[-1].content, **KNOWN), *, can=None, store=None, **values
):
    options = {name: values.pop(name) for name in ("on_failed", "dry_run", "show_prompt") if name in values}
    settings = PromptSettings.of({"types": TYPES, "max_words": 1, **values}, "p.yaml")
    backend = FakeBackend(says, can=can)
    return PromptedTagger(settings, prompter(settings, backend), Sender(backend, store), **options)


def found(document):
    return [f"{span.text}/{span.type}" for span in document.spans]


def said(tagger):
    return "\n".join(tagger.remarks())


def test_documents_come_back_in_order_with_their_mentions():
    tagged = list(tagger().tag_documents(documents()))
    assert [d.id for d in tagged] == ["d0", "d1", "d2", "d3"] and [d.text for d in tagged] == TEXTS
    assert list(map(found, tagged)) == [
        ["Aspirin/Chemical"], ["headache/Disease", "aspirin/Chemical"], [], [],
    ]  # fmt: skip
    assert {span.grounded for d in tagged for span in d.spans} == {"forced"}


def test_everything_else_of_a_document_is_kept():
    before = Document("d", "Aspirin.", [Span(0, 7, "X", "Aspirin")], metadata={"year": 1, "failed": "old"})
    (after,) = tagger().tag_documents([before])
    assert found(after) == ["Aspirin/Chemical"] and after.metadata == {"year": 1}
    assert before.metadata["failed"] == "old"


@pytest.mark.parametrize("count", [1, 5])
def test_it_reads_ahead_and_no_further(monkeypatch, count):
    monkeypatch.setattr("vaner.tagging.prompted.BUFFER_REQUESTS", 2)
    read = []

    def stream():
        for document in documents(*["Aspirin."] * 6):
            read.append(document.id)
            yield document

    first = next(tagger().tag_documents(stream()))
    assert first.id == "d0" and len(read) == 2


def test_a_document_that_cannot_be_read_is_an_error_behind_those_before_it():
    def stream():
        yield from documents("Aspirin.", "Fever.")
        raise VanerError("line 3 is broken")

    tagged = tagger().tag_documents(stream())
    assert [next(tagged).id, next(tagged).id] == ["d0", "d1"]
    with pytest.raises(VanerError, match="line 3"):
        next(tagged)


def test_any_type_may_be_asked_and_a_dataset_that_is_named():
    asked = tagger(datasets={"mine": ["Food"]}, system="{{ dataset }}: {{ rules }}")
    assert list(asked.tag_documents(documents("x"), ["Animal"]))
    assert "B-Animal" in asked.sender.backend.asked[-1].messages[0].content
    list(asked.tag_documents(documents("y"), dataset="mine"))
    assert asked.sender.backend.asked[-1].messages[0].content.startswith("mine: ")
    with pytest.raises(VanerError, match="dataset 'mien' is none of p.yaml .*did you mean mine"):
        asked.tag_documents([], dataset="mien")
    with pytest.raises(VanerError, match="no entity type is asked"):
        asked.tag_documents([], [])


def test_one_type_per_call_lets_mentions_overlap():
    def answer(request):
        type = "Disease" if "B-Disease" in request.messages[0].content else "Chemical"
        return tag(request.messages[-1].content, aspirin=type)

    asked = tagger(answer, one_type_per_call=True)
    (document,) = asked.tag_documents(documents("An aspirin headache."))
    assert found(document) == ["aspirin/Chemical", "aspirin/Disease"] and len(asked.sender.backend.asked) == 2


HARD = [
    "TNF-α/β (IL-2) 😀 causes TNF-α-like fever; fever, not fever\u00a0A B A.",
    "İstanbul \u0130 fever é fever e\u0301 fever",
    "\u200bfever\ufeff he\u00adadache \x07fever\r\n\r\nfever\u2028fever",
    "fever" * 1 + " 𝛼𝛽 fever 𝛼",
    "  fever  ",
    "\ud800 fever",
]


@pytest.mark.parametrize("format", ["token_tags", "tags", "inline", "json"])
@pytest.mark.parametrize("text", HARD)
def test_offsets_on_hard_text(format, text):
    """What the format's own right answer says is found again, at its places."""
    from vaner.prompting.found import FORCED, Mention
    from vaner.prompting.opening import format_of
    from vaner.prompting.unit import Unit
    from vaner.text.units import Text

    document = Document("d", text)
    cut = Text.of(document)
    whole = {(first, last): Unit(cut, first, last) for first, last in cut.units(1)}
    settings = PromptSettings.of({"types": TYPES, "answer": format, "max_words": 1}, "p.yaml")
    writes = format_of(settings)
    answers, expected = {}, set()
    for unit in whole.values():
        mentions = [
            Mention(start, end, "Disease", FORCED)
            for word, (start, end) in zip(unit.words, unit.offsets, strict=True)
            if word in ("fever", "headache", "α")
        ]
        answers.setdefault(writes.question(unit), writes.write(unit, mentions, TYPES))
        expected |= {(m.start, m.end) for m in mentions}
    assert expected

    def answer(request):
        asked = request.messages[-1].content
        return next(given for question, given in answers.items() if question.strip() == asked)

    (tagged,) = tagger(answer, answer=format).tag_documents([document])
    assert tagged.text == text
    assert all(text[span.start : span.end] == span.text for span in tagged.spans)
    places = {(span.start, span.end) for span in tagged.spans}
    assert places == expected


# --- what goes wrong ---


def test_what_is_lost_is_counted_by_cause_and_said():
    asked = tagger(
        lambda request: "aspirin : B-Chemical\nplaceb : B-Drug", decoding="free", alignment="index"
    )
    (document,) = asked.tag_documents(documents("Some aspirin and placebo."))
    assert document.metadata["lost"]["wrong line count"] == 1
    assert "answers lost 1 x wrong line count" in said(asked) and "words; none is marked there" in said(asked)
    assert asked.counts["answers lost: wrong line count"] == 1


def test_a_cut_answer_is_no_silent_o():
    asked = tagger(
        lambda request: Answer("Some : O\naspirin : B-Chem", finish="length"),
        decoding="free",
        alignment="index",
    )
    (document,) = asked.tag_documents(documents("Some aspirin and placebo."))
    assert document.spans == [] and document.metadata["lost"]["cut off"] == 1
    assert "answers say nothing of 4 of 5 words" in said(asked)


def test_a_failed_call_is_an_error_that_names_the_document():
    asked = tagger(failing("headache"))
    tagged = asked.tag_documents(documents())
    assert next(tagged).id == "d0"
    with pytest.raises(
        VanerError, match="document d1: 1 of 2 calls gave no answer: no answer about headache"
    ):
        next(tagged)
    # The others were asked all the same.
    assert len(asked.sender.backend.asked) == 4


def test_a_failed_call_left_is_said_by_the_document():
    def answer(request):
        question = request.messages[-1].content
        return Failure("timed out") if "headache" in question else tag(question, **KNOWN)

    asked = tagger(answer, on_failed="leave")
    tagged = list(asked.tag_documents(documents()))
    assert list(map(found, tagged)) == [["Aspirin/Chemical"], ["aspirin/Chemical"], [], []]
    assert [d.metadata for d in tagged] == [
        {}, {"failed": "1 of 2 calls gave no answer: timed out", "lost": {"failed call": 1}}, {}, {},
    ]  # fmt: skip
    assert "1 of 4 documents have calls without an answer: timed out" in said(asked)


def test_a_refusal_is_a_failed_call():
    asked = tagger(lambda request: Answer("I cannot help.", finish=REFUSED))
    with pytest.raises(VanerError, match="document d0: .*the model refused \\('I cannot help.'\\)"):
        list(asked.tag_documents(documents()))


def test_nobody_there_stops_everything():
    class Away(FakeBackend):
        def answers(self, requests):
            raise Unavailable("nobody answers at http://h")
            yield

    asked = tagger()
    asked.sender.backend = Away(None)
    with pytest.raises(Unavailable):
        list(asked.tag_documents(documents()))


@pytest.mark.parametrize(
    ("values", "can", "says"),
    [
        ({}, Abilities(), "p.yaml: .*set decoding: free"),
        ({"scores": "logprobs", "decoding": "free"}, Abilities(), "p.yaml: .*gives no log-probabilities"),
        ({"sampling": {"seed": 1}, "decoding": "free"}, Abilities(), "p.yaml: .*takes no seed"),
        ({"template": "plain", "decoding": "free"}, Abilities(plain=False), "p.yaml: .*set template: chat"),
        (
            {"answer": "tags", "decoding": "free", "alignment": "difflib"},
            None,
            "alignment: difflib is none of",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_when_it_is_loaded(values, can, says):
    with pytest.raises(VanerError, match=says):
        tagger(can=can, **values)


# --- repeats ---


def test_repeats_vote():
    def answer(request):
        types = [{"Aspirin": "Chemical", "fever": "Disease"}, {"Aspirin": "Chemical"}, {"Aspirin": "Disease"}]
        return tag(request.messages[-1].content, **types[request.repeat])

    asked = tagger(answer, repeats=3, sampling={"temperature": 0.7}, scores="votes")
    (document,) = asked.tag_documents(documents("Aspirin fever."))
    assert [(found(document), document.spans[0].score)] == [(["Aspirin/Chemical"], 2 / 3)]
    assert "of 3 mentions that an answer has, 1 are in most answers and count, 0 are in all" in said(asked)


def test_a_failed_repeat_is_counted_and_the_others_vote():
    def answer(request):
        return Failure("timed out") if request.repeat == 1 else tag(request.messages[-1].content, **KNOWN)

    asked = tagger(answer, repeats=3, sampling={"temperature": 0.7})
    (document,) = asked.tag_documents(documents("Aspirin."))
    assert found(document) == ["Aspirin/Chemical"] and document.metadata == {"lost": {"failed call": 1}}


# --- store ---


def test_nothing_is_asked_twice(tmp_path):
    with RequestStore(tmp_path / "s.sqlite") as store:
        first = tagger(store=store)
        once = [d.spans for d in first.tag_documents(documents())]
        again = tagger(store=store)
        assert [d.spans for d in again.tag_documents(documents())] == once
    assert len(first.sender.backend.asked) == 4 and again.sender.backend.asked == []
    assert "4 from the store" in said(again)


def test_what_failed_is_asked_again_and_nothing_else(tmp_path):
    with RequestStore(tmp_path / "s.sqlite") as store:
        with pytest.raises(VanerError):
            list(tagger(failing("headache"), store=store).tag_documents(documents()))
        again = tagger(store=store)
        assert len(list(again.tag_documents(documents()))) == 4
    assert [r.messages[-1].content for r in again.sender.backend.asked] == ["No\nheadache\ntoday\n."]


# --- nothing is sent ---


def test_a_dry_run_sends_nothing_and_counts(tmp_path):
    with RequestStore(tmp_path / "s.sqlite") as store:
        list(tagger(store=store).tag_documents(documents("Aspirin helps.")))
        asked = tagger(store=store, dry_run=True)
        tagged = list(asked.tag_documents(documents()))
    assert [d.spans for d in tagged] == [[]] * 4 and asked.sender.backend.asked == []
    assert said(asked).startswith("3 requests to send (1 from the store), about ")


def test_prompts_are_shown_and_no_more_is_read():
    read = []
    asked = tagger(show_prompt=2)
    list(asked.tag_documents(read.append(d.id) or d for d in documents()))
    assert asked.sender.backend.asked == [] and read == ["d0", "d1"]
    assert len(asked.remarks()) == 2
    assert "=== request 2, document d1 ===" in said(asked) and "No\nheadache\ntoday\n." in said(asked)


# --- files ---


@pytest.fixture
def fake(monkeypatch):
    """Backends of files are this one."""
    backend = FakeBackend(lambda request: tag(request.messages[-1].content, **KNOWN))
    monkeypatch.setattr(opening, "opened_backend", lambda settings, store: backend)
    return backend


FILE = "types: [Disease, Chemical]\nmax_words: 1\nstore: s.sqlite\n"


def test_a_file_is_a_tagger(fake, make):
    path = make("p.yaml", FILE)
    loaded = load(f"prompt:{path}", max_words=5)
    assert (loaded.types, loaded.max_words, loaded.allow_new_types) == (TYPES, 5, True)
    assert found(next(loaded.tag_documents(documents()))) == ["Aspirin/Chemical"]
    assert unloaded(f"prompt:{path}").types == TYPES
    with pytest.raises(VanerError, match="takes no decoding"):
        load(f"prompt:{path}", decoding="argmax")
    with pytest.raises(VanerError, match="prompt: names no file"):
        load("prompt:")
    assert pickle.loads(pickle.dumps(loaded)).max_words == 5


def test_a_replay_needs_no_model_and_gives_the_same(fake, make):
    path = make("p.yaml", FILE)
    once = [d.spans for d in load(f"prompt:{path}").tag_documents(documents())]
    fake.answer = fake.count = fake.count_prompt = None
    again = load(f"prompt:{make('r.yaml', FILE + 'replay: true')}")
    assert [d.spans for d in again.tag_documents(documents())] == once
    with pytest.raises(VanerError, match="holds no answer to request"):
        list(again.tag_documents(documents("Another text.")))
    with pytest.raises(VanerError, match="was never asked with this store"):
        load(f"prompt:{make('o.yaml', FILE + 'replay: true' + chr(10) + 'backend: {model: another}')}")


def test_the_hash_covers_what_the_file_names(fake, make, tmp_path):
    make("g/a.md", "A guideline.")
    content = FILE + "retrieval: {passages: {from: g}}\n"
    path = make("p.yaml", content)
    hashed = tagger_hash(f"prompt:{path}")
    assert tagger_hash(f"prompt:{make('q/p.yaml', content.replace('from: g', 'from: ../g'))}") == hashed
    assert tagger_hash(f"prompt:{make('c.yaml', '# said' + chr(10) + content)}") == hashed
    assert tagger_hash(f"prompt:{make('n.yaml', content.replace('s.sqlite', 'none'))}") == hashed
    for name, other in (("types", content.replace("Disease", "Gene")), ("wording", content + "system: a")):
        assert tagger_hash(f"prompt:{make(f'{name}.yaml', other)}") != hashed, name
    make("g/a.md", "Another guideline.")
    assert tagger_hash(f"prompt:{path}") != hashed


def test_settings_of_a_run(fake, make):
    settings = TaggingSettings(models=(f"prompt:{make('p.yaml', FILE)}",), types=("Animal",))
    (document,) = settings.open().tag_documents(documents("A cat."), settings.types)
    assert document.metadata["tagged_by"]["model"] == "prompt:p.yaml"
    assert json.dumps(settings.to_dict())
    with pytest.raises(VanerError, match="quantization"):
        TaggingSettings(models=settings.models, quantization="int8").open()


@pytest.mark.slow
@pytest.mark.parametrize("format", ["token_tags", "tags", "inline", "json"])
def test_forced_answers_of_the_embedded_model_lose_nothing(make, format):
    """SmolLM2-135M follows no such prompt: what it marks is noise, but every answer can be read."""
    path = make(
        "p.yaml", FILE.replace("s.sqlite", "none") + f"answer: {format}\nbackend: {{model: smollm2-135m}}\n"
    )
    asked = PromptedTagger.from_file(path)
    texts = [
        "TNF-α/β causes fever; fever, not A B A 😀.",
        "İstanbul aspirin (25 mg/kg) <sub>2</sub> ### Response:",
    ]
    tagged = list(asked.tag_documents(documents(*texts)))
    assert [d.text for d in tagged] == texts
    assert not asked.counts.keys() & {f"answers lost: {cause}" for cause in CAUSES}, asked.remarks()
    assert asked.counts["words of which answers say nothing"] == 0
    assert {span.grounded for d in tagged for span in d.spans} <= {"forced", "propagated"}


def test_a_served_model_and_a_key_that_is_seen_nowhere(make, tmp_path, monkeypatch, httpserver):
    monkeypatch.setenv("MY_KEY", "topSecretOfMine-0123456789")
    message = {"content": "Aspirin : B-Chemical\nhelps : O\n. : O"}
    answered = {
        "choices": [{"message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 50, "completion_tokens": 10},
    }
    headers = {"Authorization": "Bearer topSecretOfMine-0123456789"}
    httpserver.expect_request("/v1/chat/completions", headers=headers).respond_with_json(answered)
    path = make(
        "p.yaml",
        f"{FILE}backend: {{name: openai, model: m, base_url: '{httpserver.url_for('/v1')}', key_variable: MY_KEY}}\n"
        "decoding: free\nprice: {input: 1, output: 2}\n",
    )
    asked = load(f"prompt:{path}")
    (document,) = asked.tag_documents(documents("Aspirin helps."))
    assert found(document) == ["Aspirin/Chemical"] and document.spans[0].grounded == "index"
    assert said(asked).endswith("USD")
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or b"topSecretOfMine" not in file.read_bytes(), file
    httpserver.clear()
    httpserver.expect_request("/v1/chat/completions").respond_with_json(
        {"error": {"message": "bad key"}}, status=401
    )
    with pytest.raises(Unavailable) as error:
        list(asked.tag_documents(documents("Another text.")))
    assert "topSecretOfMine" not in str(error.value)
