"""In: a backbone and an attention mode. Out: the same backbone, its words seeing each other as the mode says.

bidirectional   a b c      causal   a b c      rows look at columns, # is seen
              a # # #             a # . .
              b # # #             b # # .      padding is never seen, in either mode
              c # # #             c # # #
"""

from __future__ import annotations

from torch import nn

from vaner.errors import VanerError

MODES = ("bidirectional", "causal")


def set_attention(backbone: nn.Module, mode: str) -> None:
    """Switch a transformers backbone to an attention mode.

    The masks are transformers' own: ``config.is_causal`` decides how they are built. The modules carry a flag
    of the same name that sdpa falls back on when a mask of ones only is left out, so both are set.

    Raises:
        VanerError: unknown mode, or ``causal`` asked of an encoder.
    """
    if mode not in MODES:
        raise VanerError(f"attention: unknown mode {mode!r}; choose one of {', '.join(MODES)}")
    flagged = [m for m in backbone.modules() if isinstance(getattr(m, "is_causal", None), bool)]
    if mode == "causal" and not any(m.is_causal for m in flagged):
        raise VanerError(
            f"attention: {type(backbone).__name__} is an encoder and has no causal mode; use bidirectional"
        )
    causal = mode == "causal"
    backbone.config.is_causal = causal
    for module in flagged:
        module.is_causal = causal
