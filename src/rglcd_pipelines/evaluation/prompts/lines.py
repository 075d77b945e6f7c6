"""Prompts as lines of JSON, one for each picture that is to be drawn."""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from typing import Any

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.errors import DataError
from rglcd_pipelines.evaluation.prompts.prompt import Prompt

FILE = "prompts.jsonl"
_FIELDS = {field.name: field.type for field in fields(Prompt)}


def as_lines(prompts: Iterable[Prompt]) -> bytes:
    """The prompts as they are written."""
    return b"".join(json.dumps(asdict(one), ensure_ascii=False).encode() + b"\n" for one in prompts)


def digest_of(prompts: Iterable[Prompt]) -> str:
    """Names the prompts and their noise."""
    return hashlib.sha256(as_lines(prompts)).hexdigest()


def read_prompts(artifact: Artifact) -> list[Prompt]:
    """All prompts of the artifact, in the order in which they are drawn."""
    file = artifact.path / FILE
    again = f"Remove {artifact.path} and run the same command again."
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}). {again}") from None
    prompts: list[Prompt] = []
    for number, line in enumerate(content.removesuffix(b"\n").split(b"\n"), 1):
        try:
            prompts.append(_prompt(line))
        except ValueError as error:
            raise DataError(f"{file}: line {number} is damaged ({error}). {again}") from None
    if problem := _difference(prompts, artifact.manifest["sets"]):
        raise DataError(f"{file}: {problem}. {again}")
    return prompts


def _prompt(line: bytes) -> Prompt:
    """The prompt of a line, or a ValueError that says what is wrong with it."""
    values: Any = json.loads(line)
    if not isinstance(values, dict) or set(values) != set(_FIELDS):
        raise ValueError(f"its fields are not {', '.join(_FIELDS)}")
    for name, kind in _FIELDS.items():
        if type(values[name]) is not kind:
            raise ValueError(f"{name} is {json.dumps(values[name])[:40]}")
    if not re.fullmatch(r"[a-z0-9_/-]+", values["key"]):
        raise ValueError(f"key is {values['key'][:40]!r}")
    return Prompt(**values)


def _difference(prompts: Sequence[Prompt], sets: dict[str, Any]) -> str | None:
    """What of the prompts is not as the manifest says."""
    if len({prompt.key for prompt in prompts}) != len(prompts):
        return "has a key twice"
    for name, told in sets.items():
        found = [prompt for prompt in prompts if prompt.set == name]
        if len(found) != told["prompts"]:
            return f"has {len(found)} prompts of {name}, and the manifest says {told['prompts']}"
        if digest_of(found) != told["digest"]:
            return f"the prompts of {name} were changed since they were made"
    if odd := next((prompt.set for prompt in prompts if prompt.set not in sets), None):
        return f"has prompts of {odd!r}, of which the manifest knows nothing"
    return None
