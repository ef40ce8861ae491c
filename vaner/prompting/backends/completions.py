"""In: a Request. Out: the body of a call of `/chat/completions` or `/completions`; and what came back -> an Answer.

The two are what OpenAI, vLLM, llama.cpp and most others understand; the Batch API carries the same bodies in a file.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from vaner.prompting.request import CUT_OFF, REFUSED, STOPPED, Answer, Failure, Message, Request

CHAT, PLAIN = "/chat/completions", "/completions"

_REFUSALS = ("content_filter", "content_policy_violation")
_PIECES = re.compile(r"[A-Za-z]+|[^\sA-Za-z]|[^\S ]| {2,}")


def path(request: Request) -> str:
    """Where the request goes, behind the base URL."""
    return CHAT if request.chat else PLAIN


def body(
    request: Request,
    model: str,
    grammar: str,
    *,
    max_tokens: str = "max_tokens",
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What is sent.

    Args:
        request: what is asked.
        model: as the server names it.
        grammar: notation of `request.GRAMMARS` that the server takes; ``none``: it takes none.
        max_tokens: what the server calls the answer's limit.
        more: beside or in place of the others; a value of None leaves one out.
    """
    made: dict[str, Any] = {"model": model}
    if request.chat:
        made["messages"] = [{"role": turn.role, "content": turn.content} for turn in request.messages]
    else:
        made["prompt"] = "".join(turn.content for turn in request.messages)
    made[max_tokens] = request.max_tokens
    made["temperature"] = request.sampling.temperature
    made["top_p"] = request.sampling.top_p
    if request.sampling.seed is not None:
        made["seed"] = request.sampling.seed
    if request.stop:
        made["stop"] = list(request.stop)
    if request.logprobs:
        made["logprobs"] = True if request.chat else 1  # of how many; llama.cpp takes 0 for none
    if request.grammar is not None and (written := getattr(request.grammar, grammar, None)) is not None:
        made |= _held(grammar, written)
    return {name: value for name, value in (made | dict(more or {})).items() if value is not None}


def _held(grammar: str, written: str) -> dict[str, Any]:
    if grammar == "gbnf":
        return {"grammar": written}
    if grammar == "regex":
        return {"structured_outputs": {"regex": written}}
    if grammar == "lark":
        return {"structured_outputs": {"grammar": written}}
    schema = {"name": "answer", "strict": True, "schema": json.loads(written)}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def answer(came: Any, request: Request, seconds: float = 0.0) -> Answer | Failure:
    """What the server said.

    Args:
        came: the body of its response, read as JSON.
        request: what was asked.
        seconds: that it took.

    Returns:
        An Answer; a Failure where there is none in it. Log-probabilities are left out where their tokens do not spell
        the answer.
    """
    try:
        choice = came["choices"][0]
        if request.chat:
            message = choice["message"]
            refusal = message.get("refusal")
            text = message.get("content") or refusal or ""
        else:
            refusal, text = None, choice["text"] or ""
        if not isinstance(text, str):
            return Failure("the server's answer is not text")
        usage = came.get("usage") or {}
        timings = came.get("timings") or {}
        output = usage.get("completion_tokens")
        finish = choice.get("finish_reason")
        if refusal or finish in _REFUSALS:
            finish = REFUSED
        else:
            finish = CUT_OFF if finish == "length" else STOPPED
        tokens = None
        if request.logprobs and (said := choice.get("logprobs")):
            tokens = _tokens(text, said)
        return Answer(
            text=text,
            finish=finish,
            prompt_tokens=int(usage.get("prompt_tokens") or 0),
            output_tokens=int(output or 0),
            cached_tokens=int(
                (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or timings.get("cache_n") or 0
            ),
            seconds=seconds,
            tokens=tokens,
            model=str(came.get("model") or ""),
        )
    except (KeyError, IndexError, TypeError, AttributeError, ValueError):
        return Failure(f"the server's answer holds no choice: {shown(came)}")


def refusal(code: Any) -> Answer | None:
    """The answer where an error's code says that the prompt itself was refused."""
    return Answer("", REFUSED) if code in _REFUSALS else None


def shown(value: Any, most: int = 200) -> str:
    """The beginning of what a server said, on one line."""
    text = " ".join((value if isinstance(value, str) else json.dumps(value, default=str)).split())
    return text if len(text) <= most else text[:most] + "..."


def _tokens(text: str, said: Mapping[str, Any]) -> tuple[tuple[int, float], ...] | None:
    """``(end in text, log-probability)`` a token; None where the tokens do not spell the text."""
    if "content" in said:
        read = [(entry.get("bytes"), entry["token"], entry["logprob"]) for entry in said["content"] or ()]
    else:
        read = [(None, token, p) for token, p in zip(said["tokens"], said["token_logprobs"], strict=True)]
    # A token may end inside a character, whose bytes alone say so.
    pieces = [bytes(raw) if raw is not None else token.encode() for raw, token, _ in read]
    wanted = text.encode()
    begin = b"".join(pieces).find(wanted)
    if begin < 0:
        return None
    tokens = []
    at = 0
    for piece, (_, _, logprob) in zip(pieces, read, strict=True):
        before = at
        at += len(piece)
        if at > begin and before < begin + len(wanted) and logprob is not None:
            tokens.append((len(wanted[: at - begin].decode(errors="ignore")), float(logprob)))
    return tuple(tokens)


def estimate(text: str) -> int:
    """Tokens of a text, rather too many: one for three letters, each gap, and each byte of other signs."""
    return sum(_pieces(piece) for piece in _PIECES.findall(text))


def _pieces(piece: str) -> int:
    if piece.isspace():
        return 1
    return (
        math.ceil(len(piece) / 3)
        if piece.isascii() and piece.isalpha()
        else len(piece.encode(errors="replace"))
    )


def estimate_prompt(messages: Sequence[Message]) -> int:
    """Tokens of the messages with a chat template around them, rather too many."""
    return 8 + sum(8 + estimate(turn.content) for turn in messages)
