"""In: ``--push_to_hub`` and a finished model's folder. Out: the folder in a hub repository.

The repository is made before training begins, so that a wrong name, a missing login or network is said at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from transformers import TrainingArguments

from vaner.errors import VanerError

_LEFT_OUT = ["checkpoint-*", "checkpoint-*/**", "best/**", ".*", ".*/**"]


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
            made = HfApi(token=args.hub_token).create_repo(name, private=args.hub_private_repo, exist_ok=True)
        except (HfHubHTTPError, HFValidationError, OSError, ValueError) as error:
            raise VanerError(
                f"--push_to_hub: {name} could not be made on the hub ({_reason(error)}); check network, login and "
                f"--hub_model_id, or leave it out and upload the folder later: hf upload {name} {args.output_dir}"
            ) from None
        return cls(made.repo_id, args.hub_revision, args.hub_token)

    def send(self, folder: Path) -> str:
        """Upload a model's folder, checkpoints left out.

        Returns:
            where it is.

        Raises:
            VanerError: it could not be sent; the folder is whole here.
        """
        try:
            return str(
                HfApi(token=self.token).upload_folder(
                    repo_id=self.repository,
                    folder_path=folder,
                    revision=self.revision,
                    commit_message="Upload of a VANER model",
                    ignore_patterns=_LEFT_OUT,
                )
            )
        except (HfHubHTTPError, OSError, ValueError) as error:
            raise VanerError(
                f"--push_to_hub: {folder} is finished but could not be sent ({_reason(error)}); upload it later: "
                f"hf upload {self.repository} {folder}"
            ) from None


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
