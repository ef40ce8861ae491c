"""In: a tokenizer, turns of a prompt. Out: their tokens, in which a text is never more than text; and tokens as text.

A model knows the turns of a chat by special tokens such as ``<|im_end|>``. They come from its chat template alone:

    template, rendered with a stand-in for each content    <|im_start|>user\\n{1}<|im_end|>\\n
    cut at its special tokens                              <|im_start|> | user\\n{1} | <|im_end|> | \\n
    contents put in, runs between tokenised as text        1            | 4093 198 ...  | 2      | 198

Text is tokenised by a copy of the tokenizer in which nothing that could be written names a special token. A content
that spells one is read as the letters it has; every other prompt gets the tokens that transformers itself would give.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from vaner.errors import VanerError
from vaner.prompting.request import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Stands beside a stand-in: where a template strips its contents, it goes. No template writes it itself.
_EDGE = "\u2003"
# What templates ask for beside the turns, fixed so that a prompt is the same on every day: a date, as LLaMA 3's own
# default has it, and no room for thoughts before the answer.
_TEMPLATE_OPTIONS: dict[str, Any] = {"date_string": "26 Jul 2024", "enable_thinking": False}


class ChatTokens:
    """A tokenizer that keeps text apart from template.

    Attributes:
        tokenizer: as transformers loaded it.
        text_json: the tokenizers library's JSON of the copy that reads text; ids are the same.
        size: one more than the greatest id that means something.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """
        Raises:
            VanerError: a tokenizer without a tokenizer.json.
        """
        from tokenizers import Tokenizer

        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise VanerError(
                "this model's tokenizer has no tokenizer.json; save a fast tokenizer with the model"
            )
        self.tokenizer = tokenizer
        whole = json.loads(backend.to_str())
        self._special = _meant(whole)
        self._hidden = _hide(whole, self._special)
        self.text_json = json.dumps(whole, ensure_ascii=False)
        self._text = Tokenizer.from_str(self.text_json)
        self.size = max(self._text.get_vocab(with_added_tokens=True).values()) + 1
        longest_first = sorted(self._special, key=len, reverse=True)
        self._cut = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None
        self._encode = lru_cache(maxsize=4096)(self._encode_run)

    def text(self, text: str) -> list[int]:
        """Tokens of a text, as a beginning; none of them is special."""
        return list(self._encode(text, False))

    def behind(self, text: str) -> list[int]:
        """Tokens of a text that something stands before, as an answer stands behind its prompt; none is special."""
        return list(self._encode(text, True))

    def prompt(self, messages: Sequence[Message], chat: bool = True) -> list[int]:
        """Tokens of a prompt, up to where the answer begins.

        Args:
            messages: turns; without ``chat`` their contents are joined as they are.
            chat: whether the model's chat template wraps them.

        Raises:
            VanerError: the model has no chat template, or its template refuses or loses a turn.
        """
        if chat:
            return self._tokens(self._pieces(messages))
        whole = "".join(message.content for message in messages)
        return [*self._beginning, *self._encode(whole, bool(self._beginning))]

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """Tokens that end an answer: the tokenizer's own, and what the chat template writes behind one."""
        found = [self.tokenizer.eos_token_id] if self.tokenizer.eos_token_id is not None else []
        if self.tokenizer.chat_template is not None:
            turns = [Message("user", "a"), Message("assistant", "b")]
            pieces = self._pieces(turns, answered=True)
            after = next(
                (n for n, (text, content) in enumerate(pieces) if content and text == "b"), len(pieces)
            )
            behind = "".join(text for text, _ in pieces[after + 1 :])
            if self._cut is not None and (sign := self._cut.match(behind)):
                found.append(self._special[sign[0]]["id"])
        return tuple(dict.fromkeys(found))

    def written(self, tokens: Sequence[int]) -> str:
        """The text of tokens inside an answer; where they end within a character, it ends with U+FFFD."""
        # Behind a letter: some tokenizers leave the space before a text's first word out.
        before, length = self._letter
        return str(
            self.tokenizer.decode(
                [*before, *tokens], skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        )[length:]

    @cached_property
    def _letter(self) -> tuple[list[int], int]:
        tokens = self.text("a")
        decoded = self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return tokens, len(decoded)

    @cached_property
    def _beginning(self) -> list[int]:
        """What the tokenizer writes before any text, such as ``<s>``."""
        bare = self.tokenizer("a", add_special_tokens=False)["input_ids"]
        whole = self.tokenizer("a")["input_ids"]
        for start in range(len(whole) - len(bare) + 1):
            if whole[start : start + len(bare)] == bare:
                return list(whole[:start])
        return []

    def _pieces(self, messages: Sequence[Message], answered: bool = False) -> list[tuple[str, bool]]:
        """``(text, whether it is a content)`` of the rendered template, in order."""
        if self.tokenizer.chat_template is None:
            raise VanerError(
                "this model has no chat template; set template: plain, or name the model's instruct version"
            )
        nonce = secrets.token_hex(8)
        stand_ins = [f"{_EDGE}{nonce}-{number}-{_EDGE}" for number in range(len(messages))]
        turns = [
            {"role": message.role, "content": stand_in}
            for message, stand_in in zip(messages, stand_ins, strict=True)
        ]
        try:
            rendered = str(
                self.tokenizer.apply_chat_template(
                    turns, tokenize=False, add_generation_prompt=not answered, **_TEMPLATE_OPTIONS
                )
            )
        except Exception as error:  # whatever a template in Jinja may raise
            raise VanerError(
                f"the model's chat template refuses these turns ({error}); set template: plain, or put the "
                "system turn into the user's"
            ) from error
        pieces: list[tuple[str, bool]] = []
        seen: set[int] = set()
        at = 0
        for found in re.finditer(f"({_EDGE}?){nonce}-([0-9]+)-({_EDGE}?)", rendered):
            content = messages[int(found[2])].content
            content = content if found[1] else content.lstrip()
            content = content if found[3] else content.rstrip()
            pieces += [(rendered[at : found.start()], False), (content, True)]
            seen.add(int(found[2]))
            at = found.end()
        pieces.append((rendered[at:], False))
        if lost := set(range(len(messages))) - seen:
            raise VanerError(
                f"the model's chat template leaves turn {min(lost) + 1} ({messages[min(lost)].role}) out; "
                "set template: plain"
            )
        return pieces

    def _tokens(self, pieces: Sequence[tuple[str, bool]]) -> list[int]:
        tokens: list[int] = []
        run = ""
        last: dict[str, Any] | None = None

        def end_run(following: dict[str, Any] | None) -> None:
            nonlocal run
            run = run.lstrip() if last and last["rstrip"] else run
            run = run.rstrip() if following and following["lstrip"] else run
            tokens.extend(self._encode(run, last is not None))
            run = ""

        for text, content in pieces:
            at = 0
            for sign in self._cut.finditer(text) if self._cut is not None and not content else ():
                run += text[at : sign.start()]
                end_run(self._special[sign[0]])
                last = self._special[sign[0]]
                tokens.append(last["id"])
                at = sign.end()
            run += text[at:]
        end_run(None)
        return tokens

    def _encode_run(self, run: str, inside: bool) -> tuple[int, ...]:
        if not run:
            return ()
        if inside and self._hidden:
            # Some tokenizers put a space before a text's first word; this one has something before it.
            return tuple(self._text.encode(self._hidden + run, add_special_tokens=False).ids[1:])
        return tuple(self._text.encode(run, add_special_tokens=False).ids)


def _meant(whole: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Added tokens that mean more than they say; runs of spaces, which some tokenizers add, do not."""
    return {
        token["content"]: token
        for token in whole.get("added_tokens") or []
        if token["special"] or token["content"].strip()
    }


def _hide(whole: dict[str, Any], special: dict[str, dict[str, Any]]) -> str:
    """Give special tokens names that no text has, in a tokenizer's JSON; the name of one, empty where there is none."""
    nonce = secrets.token_hex(16)
    names = {content: f"\ufdd0{nonce}-{token['id']}\ufdd1" for content, token in special.items()}
    for token in whole.get("added_tokens") or []:
        if token["content"] in names:
            token |= {"content": names[token["content"]], "special": True, "normalized": False}
            token |= {"single_word": False, "lstrip": False, "rstrip": False}
    model = whole["model"]
    if isinstance(model.get("vocab"), dict):
        model["vocab"] = {names.get(name, name): number for name, number in model["vocab"].items()}
    elif isinstance(model.get("vocab"), list):
        model["vocab"] = [[names.get(name, name), score] for name, score in model["vocab"]]
    if model.get("unk_token") in names:
        model["unk_token"] = names[model["unk_token"]]
    whole["post_processor"] = None
    whole["truncation"] = whole["padding"] = None
    return next(iter(names.values()), "")
