"""In: a function. Out: a backend whose answers it gives, and which remembers what it was asked."""

from vaner.prompting.request import GRAMMARS, Abilities, Answer, Failure


class FakeBackend:
    """Answers by a function of the request; counts words."""

    def __init__(self, answer, *, context=None, can=None, model="fake"):
        self.answer, self.context = answer, context
        self.can = can or Abilities(grammars=frozenset(GRAMMARS), logprobs=True, seed=True)
        self.identity = {"backend": "fake", "model": model}
        self.asked = []
        self.closed = False

    def count(self, text):
        return len(text.split())

    def count_prompt(self, messages, chat=True):
        return sum(self.count(message.content) + chat for message in messages)

    def answers(self, requests):
        # Backwards, since any order is allowed.
        for number, request in reversed(list(enumerate(requests))):
            self.asked.append(request)
            given = self.answer(request)
            yield number, Answer(given, output_tokens=3, prompt_tokens=5) if isinstance(given, str) else given

    def close(self):
        self.closed = True


def failing(on):
    """A function of the request that fails where its question has a word, and tags nothing else."""

    def answer(request):
        question = request.messages[-1].content
        return Failure(f"no answer about {on}") if on in question else tag(question)

    return answer


def tag(question, **types):
    """A line a word; words that are named get B- of their type."""
    return "\n".join(
        f"{word} : {'B-' + types[word] if word in types else 'O'}" for word in question.split("\n")
    )
