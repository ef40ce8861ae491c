"""In: a model with a backbone. Out: what Trainer asks of one to recompute activations, and its embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Checkpointed:
    """Hands what Trainer asks on to ``plain_backbone``, the model inside peft's, which its subclasses have."""

    if TYPE_CHECKING:

        @property
        def plain_backbone(self) -> PreTrainedModel: ...

    def activation_checkpointing_enable(
        self,
        activation_checkpointing_kwargs: dict[str, Any] | None = None,
        every_n_layers: int = 1,
        offload: bool = False,
    ) -> None:
        """Recompute activations in the backward pass instead of keeping them; called by Trainer.

        Args:
            activation_checkpointing_kwargs: for `torch.utils.checkpoint.checkpoint`; by default not reentrant.
            every_n_layers: keep the activations of the layers between.
            offload: hold what is saved for it in host memory.
        """
        # Below the first adapter nothing needs a gradient; a reentrant checkpoint would then give none at all.
        self.plain_backbone.enable_input_require_grads()
        self.plain_backbone.activation_checkpointing_enable(
            activation_checkpointing_kwargs or {"use_reentrant": False},
            every_n_layers=every_n_layers,
            offload=offload,
        )

    def gradient_checkpointing_enable(
        self, gradient_checkpointing_kwargs: dict[str, Any] | None = None, **options: Any
    ) -> None:
        """What transformers called `activation_checkpointing_enable` before."""
        self.activation_checkpointing_enable(gradient_checkpointing_kwargs, **options)

    def get_input_embeddings(self) -> nn.Module:
        """The backbone's embeddings, which Trainer asks for (NEFTune)."""
        return self.plain_backbone.get_input_embeddings()
