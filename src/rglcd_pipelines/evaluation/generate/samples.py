"""Reading what a model drew."""

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.data.shards import Sample, read_shard
from rglcd_pipelines.errors import DataError
from rglcd_pipelines.evaluation.generate.column import Column
from rglcd_pipelines.evaluation.prompts.prompt import Prompt

PROMPTS = "prompts.json"
AGAIN = "Remove its folder and draw it again with: kedro run --pipeline=evaluate"


class Samples:
    """A model's pictures, by column and prompt."""

    def __init__(self, artifact: Artifact) -> None:
        self.path, self.digest, self._told = artifact.path, artifact.digest, artifact.manifest
        self.name: str = artifact.manifest["name"]
        self.columns = {name: Column(**told) for name, told in artifact.manifest["columns"].items()}

    def prompts(self, column: str, set: str | None = None) -> list[Prompt]:
        """Of the pictures of a column, in their order."""
        self._check(column, set)
        drawn = self._told["sets"]
        return [
            prompt for prompt in self._prompts if column in drawn[prompt.set] and set in (None, prompt.set)
        ]

    def pngs(self, column: str, set: str | None = None) -> Iterator[tuple[Prompt, bytes]]:
        """The pictures of a column, in the prompts' order."""
        wanted = self.prompts(column, set)
        if not wanted:
            return
        places = {prompt.key: place for place, prompt in enumerate(wanted)}
        found = 0
        for shard in self._told["shards"]:
            if shard["column"] != column or (set is not None and set not in shard["sets"]):
                continue
            for sample in _whole(self.path / shard["name"]):
                place = places.get(sample.key)
                if place is None:
                    continue
                if place != found or sample.image is None:
                    raise DataError(
                        f"{self.path / shard['name']}: {sample.key} is not where it belongs. {AGAIN}"
                    )
                found += 1
                yield wanted[place], sample.image
        if found != len(wanted):
            raise DataError(
                f"{self.path}: column {column} has {found} of its {len(wanted)} pictures; "
                f"{wanted[found].key} is the first that is missing. {AGAIN}"
            )

    def _check(self, column: str, set: str | None) -> None:
        if column not in self.columns:
            raise DataError(f"{self.path}: has no column {column}; there is {', '.join(self.columns)}")
        if set is not None and set not in self._told["sets"]:
            raise DataError(f"{self.path}: has no set {set}; there is {', '.join(self._told['sets'])}")

    @cached_property
    def _prompts(self) -> list[Prompt]:
        file = self.path / PROMPTS
        try:
            return [Prompt(**told) for told in json.loads(file.read_text(encoding="utf-8"))]
        except (OSError, ValueError, TypeError) as error:
            raise DataError(f"{file}: cannot be read ({error}). {AGAIN}") from None


def _whole(path: Path) -> Iterator[Sample]:
    try:
        for item in read_shard(path):
            if not isinstance(item, Sample):
                raise DataError(f"{path}: is damaged at {item.key} ({item.reason}). {AGAIN}")
            yield item
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). {AGAIN}") from None
