"""In: the name of a backend and of a model. Out: who answers requests (`vaner.prompting.request.Backend`).

transformers   a folder, a hub id or an embedded model, read here
openai         any server that speaks OpenAI's protocol
llamacpp       a GGUF file, read by llama.cpp inside this process
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from vaner.errors import VanerError, near

if TYPE_CHECKING:
    from vaner.prompting.request import Backend

# Each is imported when it is asked for: one needs torch, another openai, another llama.cpp.
BACKENDS = {
    "transformers": ("vaner.prompting.backends.transformers", "TransformersBackend"),
    "openai": ("vaner.prompting.backends.openai", "OpenAIBackend"),
    "llamacpp": ("vaner.prompting.backends.llamacpp", "LlamaCppBackend"),
}


def open_backend(name: str, model: str, **options: Any) -> Backend:
    """The backend of a name.

    Args:
        name: one of BACKENDS.
        model: as that backend names models.
        options: what its class takes beside.

    Raises:
        VanerError: no such backend, an option that it does not take, or a model that is not there.
    """
    if name not in BACKENDS:
        hint = near(name, BACKENDS)
        raise VanerError(
            f"backend: unknown {name!r}{f' ({hint})' if hint else ''}; choose {', '.join(BACKENDS)}"
        )
    module, kind = BACKENDS[name]
    backend = getattr(importlib.import_module(module), kind)
    known = _options(backend)
    for option in options:
        if option not in known:
            hint = near(option, known)
            raise VanerError(
                f"backend {name}: no option {option!r}{f' ({hint})' if hint else ''}; it takes "
                f"{', '.join(known) or 'none'}"
            )
    found: Backend = backend(model, **options)
    return found


def _options(backend: type) -> list[str]:
    import inspect

    return [name for name in inspect.signature(backend).parameters if name != "model"]
