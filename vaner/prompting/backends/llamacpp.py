"""In: requests and a GGUF file. Out: answers of llama.cpp in this process, through `xllamacpp`.

llama.cpp reads signs such as ``<|im_end|>`` in a message as the template's own: a text must be shown with them broken
(`Unit.shown`), as prompts here do.
"""

from __future__ import annotations

import json
import os
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vaner.errors import VanerError
from vaner.files import sha256
from vaner.prompting.backends import completions, workers
from vaner.prompting.request import Abilities, Answer, Failure, Grammar, Message, Request, Unavailable

_ABILITIES = Abilities(
    grammars=frozenset({"lark", "gbnf", "json_schema"}), logprobs=True, seed=True, plain=True
)


class LlamaCppBackend:
    """A GGUF file, read when it is first needed.

    Args:
        model: path of the file.
        context: tokens of a prompt and its answer together; each of ``concurrency`` has as many.
        threads: of the processor; None: as llama.cpp chooses.
        gpu_layers: layers on a GPU (-1: as many as fit); the package's CPU build has none.
        concurrency: requests under way at once.
        sha256: of the file; given, it is not computed, and answers that are stored can be replayed without the file.

    Raises:
        VanerError: no such file (unless ``sha256`` is given), or a setting that is none.
    """

    def __init__(
        self,
        model: str | os.PathLike,
        context: int = 4096,
        threads: int | None = None,
        gpu_layers: int = -1,
        concurrency: int = 1,
        sha256: str | None = None,
    ) -> None:
        self.path = Path(model)
        if sha256 is None and not self.path.is_file():
            raise VanerError(f"{model}: there is no such GGUF file; name one in model")
        if context < 1 or concurrency < 1 or (threads is not None and threads < 1):
            raise VanerError("backend llamacpp: context, threads and concurrency are 1 or more")
        self.threads = threads
        self.gpu_layers = gpu_layers
        self.concurrency = concurrency
        self._context = context
        self._sha256 = sha256
        self._made: Any = None
        self._word = secrets.token_hex(16)  # nobody else on this machine is to use the server's port

    @property
    def identity(self) -> Mapping[str, str]:
        """Kind and hash of the file."""
        if self._sha256 is None:
            self._sha256 = sha256(self.path)
        return {"backend": "llamacpp", "sha256": self._sha256}

    @property
    def can(self) -> Abilities:
        return _ABILITIES

    @property
    def context(self) -> int | None:
        return self._context

    def count(self, text: str) -> int:
        """Tokens of a text."""
        return len(
            self._call("/tokenize", {"content": text, "add_special": False, "parse_special": False})["tokens"]
        )

    def count_prompt(self, messages: Sequence[Message], chat: bool = True) -> int:
        """Tokens of the messages as the model reads them."""
        if chat:
            turns = [{"role": turn.role, "content": turn.content} for turn in messages]
            prompt = self._call("/apply-template", {"messages": turns})["prompt"]
        else:
            prompt = "".join(turn.content for turn in messages)
        return len(
            self._call("/tokenize", {"content": prompt, "add_special": True, "parse_special": True})["tokens"]
        )

    def answers(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer | Failure]]:
        """Ask; see `Backend.answers`.

        Raises:
            Unavailable: the file is not there or is no GGUF file.
            VanerError: the package is missing.
        """
        server = self._server() if requests else None
        return workers.answers(requests, lambda request: self._ask(server, request), self.concurrency)

    def _ask(self, server: Any, request: Request) -> Answer | Failure | Unavailable:
        begun = time.monotonic()
        # A name in place of the path; the shared code writes GBNF as llama.cpp reads it.
        body = completions.body(request, "gguf", _notation(request.grammar))
        if "structured_outputs" in body:
            body["grammar"] = "%llguidance {}\n" + body.pop("structured_outputs")["grammar"]
        handle = server.handle_chat_completions if request.chat else server.handle_completions
        try:
            came = handle(body)
        except Exception as error:  # of the extension: one request's errors must not end the others' thread
            return Failure(f"llama.cpp: {completions.shown(str(error) or type(error).__name__)}")
        if isinstance(came, Mapping) and (refused := came.get("error")) is not None:
            said = refused.get("message") if isinstance(refused, Mapping) else refused
            return Failure(f"llama.cpp: {completions.shown(said)}")
        return completions.answer(came, request, time.monotonic() - begun)

    def _server(self) -> Any:
        if self._made is None:
            try:
                import xllamacpp
            except ImportError:
                raise VanerError(
                    "backend llamacpp: needs the package xllamacpp; pip install 'vaner[llamacpp]'"
                ) from None
            if not self.path.is_file():
                raise Unavailable(f"{self.path}: there is no such GGUF file; name one in model")
            settings = xllamacpp.CommonParams()
            settings.model.path = str(self.path)
            settings.model_alias = {"gguf"}
            settings.n_ctx = self._context * self.concurrency
            settings.n_parallel = self.concurrency
            settings.n_gpu_layers = self.gpu_layers
            settings.verbosity = -1
            settings.api_keys = [self._word]
            if self.threads is not None:
                settings.cpuparams.n_threads = self.threads
            try:
                self._made = xllamacpp.Server(settings)
            except Exception as error:  # the extension raises what it likes
                raise Unavailable(
                    f"{self.path}: llama.cpp cannot load it ({completions.shown(str(error))}); is it a GGUF file?"
                ) from None
        return self._made

    def _call(self, path: str, body: Mapping[str, Any]) -> Any:
        """Ask the server for what it offers over its port only."""
        call = urllib.request.Request(
            self._server().listening_address + path,
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {self._word}"},
        )
        try:
            with urllib.request.urlopen(call, timeout=60) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            said = completions.shown(error.read().decode(errors="replace"))
            raise VanerError(
                f"{self.path}: llama.cpp cannot count this prompt ({said}); look at its turns"
            ) from None
        except OSError as error:
            raise Unavailable(
                f"{self.path}: llama.cpp's server does not answer ({error}); run again"
            ) from None

    def close(self) -> None:
        """Give the memory back; the file is read again when it is needed."""
        self._made = None


def _notation(grammar: Grammar | None) -> str:
    """The notation that llama.cpp holds to best: llguidance's own, then GBNF."""
    return next(
        (kind for kind in ("lark", "gbnf", "json_schema") if grammar and kind in grammar.kinds()), "none"
    )
