"""In: a tagger, the name of a hub repository. Out: its model there, by huggingface_hub's conventions."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from vaner.errors import VanerError
from vaner.model.catalogue import model_folder
from vaner.model.config import BACKBONE_FOLDER
from vaner.model.publishing import check_name, plan, publish
from vaner.tagging.copying import Copied

if TYPE_CHECKING:
    from vaner.inputs.features import Tokenisation
    from vaner.model.network import VanerModel


class Pushed(Copied):
    """What puts a tagger's model on the hub; its class has ``model`` and ``tokenisation``."""

    model: VanerModel
    tokenisation: Tokenisation

    def push_to_hub(
        self,
        repo_id: str,
        *,
        commit_message: str = "Upload of a VANER model",
        private: bool | None = None,
        token: str | bool | None = None,
        branch: str | None = None,
        create_pr: bool = False,
        scores: Iterable[str | Path] = (),
    ) -> str:
        """Upload the model, with a card that has its evaluation results in its metadata.

        It is the saved model that goes, as ``python -m vaner push`` has it, not the options of this tagger: the folder
        of the name that it was loaded by. A tagger that was made of a model in memory is saved first.

        Args:
            repo_id: ``owner/name``; the repository is made where it is missing.
            commit_message: of the one commit.
            private: whether a repository that is made is private; None leaves it to its owner's settings.
            token: for the hub; None is that of its own login (``hf auth login``, ``HF_TOKEN``).
            branch: made where it is missing; None is the main one.
            create_pr: as a pull request against the branch.
            scores: files that ``python -m vaner evaluate --json`` wrote of this model; without any the card has the
                dev scores of its training.

        Returns:
            the address of the commit, or of the pull request.

        Raises:
            VanerError: scores of another model, or the hub was not reached or refused.
        """
        check_name(repo_id)
        with tempfile.TemporaryDirectory() as scratch:
            folder = scratch
            if self._name is not None:
                folder = model_folder(self._name, self._loading.get("revision"), token)
            else:
                self._save(scratch)
            return publish(
                plan(folder, repo_id, scores),
                private=private,
                revision=branch,
                message=commit_message,
                create_pr=create_pr,
                token=token,
            )

    def _save(self, folder: str) -> None:
        whole = self.model.settings.backbone == BACKBONE_FOLDER
        if not whole and not self.model.is_adapted:
            # Of a backbone with its adapter folded in, head and name alone would be saved.
            raise VanerError(
                "this tagger was made of a model in memory without an adapter of its own; save it whole "
                "(model.save_merged) and push that folder"
            )
        if any(type(module).__module__.startswith("vaner.kernels.") for module in self.model.modules()):
            raise VanerError(
                "this tagger's layers were made over to tag faster and cannot be saved; push the folder that they came "
                "from, or load it with fuse=False and quantization='none'"
            )
        self.model.save_pretrained(folder, self.tokenisation.tokenizer)
