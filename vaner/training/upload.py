"""In: ``--push_to_hub`` and a finished model's folder. Out: the model in a hub repository.

The repository is made before training begins, so that a wrong name, a missing login or network is said at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi
from transformers import TrainingArguments

from vaner.errors import VanerError
from vaner.model.publishing import check_name, made, plan, publish


@dataclass(frozen=True)
class Upload:
    """A repository on the hub that will hold the model.

    Attributes:
        repository: ``owner/name``.
        revision: branch, None for the main one.
        token: of the hub, None for that of the login.
    """

    repository: str
    revision: str | None = None
    token: str | None = None

    @classmethod
    def of(cls, args: TrainingArguments) -> Upload:
        """Make the repository that the arguments name, on the first process.

        Raises:
            VanerError: the hub was not reached, or refused; says why in one line.
        """
        name = args.hub_model_id or Path(str(args.output_dir)).absolute().name
        if args.process_index:
            return cls(name, args.hub_revision, args.hub_token)
        try:
            check_name(name)
            whole = made(HfApi(token=args.hub_token), name, args.hub_private_repo)
        except VanerError as error:
            raise VanerError(
                f"--push_to_hub: {error}; check network, login and --hub_model_id, or leave it out and upload the "
                f"model later: python -m vaner push {args.output_dir} OWNER/NAME"
            ) from None
        return cls(whole, args.hub_revision, args.hub_token)

    def send(self, folder: Path) -> str:
        """Upload a model's folder as ``python -m vaner push`` does.

        Returns:
            where it is.

        Raises:
            VanerError: it could not be sent; the folder is whole here.
        """
        try:
            publication = plan(folder, self.repository)
            return publish(publication, revision=self.revision, token=self.token)
        except VanerError as error:
            raise VanerError(
                f"--push_to_hub: {folder} is finished but was not uploaded: {error}; upload it later: "
                f"python -m vaner push {folder} {self.repository}"
            ) from None
