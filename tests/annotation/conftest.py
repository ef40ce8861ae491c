"""In: nothing. Out: workers inside the test's own process, and raw texts."""

import json

import pytest

from vaner.jobs import worker


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


@pytest.fixture
def raw(tmp_path):
    """Writes raw texts as JSON Lines."""

    def write(name, records):
        path = tmp_path / name
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        return path

    return write
