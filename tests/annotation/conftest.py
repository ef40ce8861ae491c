"""In: nothing. Out: workers inside the test's own process, a tiny teacher, and raw texts."""

import json

import pytest

from vaner.jobs import worker
from vaner.training import run as training

GOLD = "bc5cdr-sample"
#: Of training a tiny model.
TINY = ["--num_train_epochs", "1", "--batch_tokens", "700", "--dtype", "float32", "--head_rank", "8"]
TINY += [
    "--use_cpu",
    "true",
    "--seed",
    "5",
    "--eval_documents",
    "3",
    "--evaluations",
    "1",
    "--max_tokens",
    "384",
]


class Inline:
    """A Pool without processes: what is waited for is tagged then.

    Args:
        settings: of the tagger.
        most: tasks after which it is interrupted; None: never.
    """

    def __init__(self, settings, most=None):
        self.settings, self.most = settings, most
        self.tagger = worker.opened(settings)
        self.tasks = []

    def room(self):
        return len(self.tasks) < 2

    def submit(self, task):
        self.tasks.append(task)

    def wait(self, seconds):
        if self.most == 0:
            raise KeyboardInterrupt
        self.most = None if self.most is None else self.most - 1
        return [worker.tag(self.tagger, self.settings, self.tasks.pop(0))] if self.tasks else []

    def close(self):
        self.tasks.clear()


@pytest.fixture(scope="session")
def teacher(tiny_backbones, tmp_path_factory):
    """A tiny labeler that knows two datasets; hardly trained, it finds much, and is sure of little."""
    folder = tmp_path_factory.mktemp("teacher") / "tiny-teacher"
    mix = ["--mix", GOLD, "ncbi-disease-sample", "--backbone", tiny_backbones["llama"], "--cap", "5"]
    more = ["--lora_r", "4", "--learning_rate", "1e-3", "--max_steps", "1", "--output_dir", str(folder)]
    return training.run([*mix, *TINY, *more])


@pytest.fixture
def raw(tmp_path):
    """Writes raw texts as JSON Lines."""

    def write(name, records):
        path = tmp_path / name
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        return path

    return write
