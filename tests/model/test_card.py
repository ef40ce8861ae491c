"""The card: what was evaluated stands in it, beside what other models got in the same evaluation."""

import dataclasses

from vaner.model import card
from vaner.model.config import ModelConfig


def _score(f1: float, gold: int = 10) -> dict:
    return {"f1": f1, "precision": f1, "recall": f1, "gold": gold, "interval": {"f1": [f1 - 0.01, f1 + 0.01]}}


def _page(name: str, split: str, f1: float, *, adaptive: bool = False, baseline: float | None = None) -> dict:
    def corpus(value: float) -> dict:
        return {
            "overall": {"micro": _score(value)},
            "type": {"Chemical": _score(value + 0.02), "Disease": _score(value - 0.02)},
            "seen": {"seen": _score(value + 0.1), "unseen": _score(value - 0.1)},
            "length": {"1": _score(value + 0.05), "2": _score(value), "3+": _score(value - 0.05)},
        }

    found = {"name": name, "split": split, "documents": 7, **corpus(f1)}
    if baseline is not None:
        found["baseline"] = corpus(baseline)
    return {"protocol": {"adaptive": adaptive, "baseline": baseline and "kb:names.idx"}, "results": [found]}


def _rows(text: str, start: str) -> list[list[str]]:
    return [
        [c.strip() for c in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith(start)
    ]


SETTINGS = ModelConfig(types=["Disease", "Chemical"], datasets={"bc5cdr": ["Chemical", "Disease"]})


def test_every_evaluation_is_a_table_with_the_others_beside_it():
    pages = [
        _page("bc5cdr-pubtator", "dev", 0.8, baseline=0.6),
        _page("bc5cdr-pubtator", "test", 0.7),
        _page("biored", "test", 0.5, adaptive=True),
    ]
    # The encoder was not scored on test; its adaptive scores on dev belong to no table here.
    encoder = [_page("bc5cdr-pubtator", "dev", 0.75), _page("bc5cdr-pubtator", "dev", 0.1, adaptive=True)]
    text = card.render(SETTINGS, pages, beside={"encoder": encoder})
    dev, test, adaptive = text.split("### ")[1:4]
    assert dev.startswith("Dev, the dataset named") and adaptive.startswith("Test, the dataset not named")
    rows = {row[1]: row for row in _rows(dev, "| bc5cdr-pubtator (7)")}
    assert rows["all"][5:] == ["80.00", "79.00 - 81.00", "60.00", "75.00"]
    assert rows["Disease"][5] == "78.00" and rows["Disease"][-1] == "73.00"
    assert rows["unseen in training"][5] == "70.00" and rows["3+ words"][5] == "75.00"
    assert "encoder" not in test and "dictionary" not in test
    assert _rows(adaptive, "| biored")[0][5] == "50.00"


def test_published_figures_stand_beside_dev_and_test():
    pages = [_page("bc5cdr-pubtator", "dev", 0.8), _page("bc5cdr-pubtator", "test", 0.7)]
    pages.append(_page("bc5cdr-pubtator", "test", 0.2, adaptive=True))
    published = {("bc5cdr", "Disease"): {"BioBERT": 87.15}, ("bc2gm", "all"): {"BioBERT": 84.72}}
    text = card.render(SETTINGS, pages, published=published)
    assert _rows(text, "| bc5cdr | Disease") == [["bc5cdr", "Disease", "78.00", "68.00", "87.15"]]
    assert not _rows(text, "| bc2gm")


def test_without_an_evaluation_the_run_s_own_scores_are_shown():
    dev = {"bc5cdr": {"f1": 0.8, "types": {"Disease": 0.7}}}
    text = card.render(dataclasses.replace(SETTINGS, training={"dev": dev}))
    assert "| bc5cdr | all | 80.00 |" in text and "| bc5cdr | Disease | 70.00 |" in text


def test_the_head_of_the_card_is_what_the_hub_reads():
    from huggingface_hub import ModelCard

    dev = {"bc5cdr": {"f1": 0.8, "types": {"Disease": 0.7}}}
    data = ModelCard(card.render(dataclasses.replace(SETTINGS, training={"dev": dev}))).data
    assert data.base_model == "HuggingFaceTB/SmolLM2-135M-Instruct" and data.library_name == "vaner"
    ((name, split, value),) = [(r.dataset_name, r.dataset_split, r.metric_value) for r in data.eval_results]
    assert (name, split, value) == ("bc5cdr", "dev", 0.8)


def _calibrated(command: str) -> ModelConfig:
    def at(spans: int, before: float | None, after: float | None) -> dict:
        return {"spans": spans, "before": {"error": before}, "after": {"error": after}, "by_chance": 0.01}

    record = {
        "command": command,
        "split": "dev",
        "documents": {"bc5cdr": 40},
        "bins": "15 of equal mass",
        "types": {
            "Disease": {
                "temperature": 1.6,
                "reason": "",
                "fit": at(1200, 0.08, 0.012),
                "checked": {"biored": at(300, 0.1, 0.03)},
            },
            "Chemical": {"temperature": 1.0, "reason": "too few", "fit": at(0, None, None), "checked": {}},
        },
    }
    return dataclasses.replace(SETTINGS, training={"calibration": record})


def test_a_calibrated_model_s_card_says_what_a_score_means():
    text = card.render(_calibrated("first"), mistakes="abbreviations")
    assert "| Disease | 1.6 | fitted on | 1,200 | 8.00 | 1.20 | 1.00 |" in text
    assert "| Disease | 1.6 | biored | 300 | 10.00 | 3.00 | 1.00 |" in text
    assert "- Chemical stays as it is: too few." in text and "bc5cdr (40)" in text
    assert text.index(card.CALIBRATION_HEADING) < text.index("## What it is bad at")
    assert card.CALIBRATION_HEADING not in card.render(SETTINGS)


def test_the_section_is_put_into_a_card_that_is_there():
    plain = card.render(SETTINGS)
    once = card.with_calibration(plain, _calibrated("first"))
    assert once.startswith(plain.rstrip()) and "`first`" in once
    twice = card.with_calibration(once, _calibrated("second"))
    assert twice == card.with_calibration(plain, _calibrated("second")) and "`first`" not in twice
    inside = card.render(_calibrated("first"), mistakes="abbreviations")
    renewed = card.with_calibration(inside, _calibrated("second"))
    assert renewed.endswith("## What it is bad at\n\nabbreviations\n") and renewed.count("What a score") == 1
