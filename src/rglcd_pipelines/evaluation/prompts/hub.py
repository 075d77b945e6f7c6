"""Files of datasets on the hub, at one commit, in the hub's own cache."""

from pathlib import Path

from rglcd_pipelines.errors import DataError
from rglcd_pipelines.evaluation.prompts.settings import PromptSetConfig
from rglcd_pipelines.rewards.hub import explained


def fetch(config: PromptSetConfig, name: str, where: str) -> Path:
    """The file `name` of the repository, downloaded unless it is there; `where` is the set's parameter."""
    from huggingface_hub import errors, hf_hub_download

    with explained(config, where):
        try:
            return Path(hf_hub_download(config.id, name, repo_type="dataset", revision=config.revision))
        except errors.EntryNotFoundError as error:
            if isinstance(error, errors.LocalEntryNotFoundError):
                raise
            raise DataError(
                f"{config.id} at {config.revision}: holds no {name}. Check {where}.file."
            ) from None
