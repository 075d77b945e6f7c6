"""Captions as token ids, cut knowingly where a text model reads no further."""

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)


class Texts:
    """The tokenizer of one reward model."""

    def __init__(
        self,
        name: str,
        tokenizer: "PreTrainedTokenizerBase",
        length: int,
        clean: Callable[[str], str] | None = None,
    ) -> None:
        self.name, self.tokenizer, self.length = name, tokenizer, length
        self.clean = clean
        """What is done to a caption before, if anything."""
        self.seen = 0
        """Captions so far."""
        self.cut = 0
        """How many of them were longer than the model reads."""

    def ids(self, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Token ids [B, T] and which of them are text: T is the longest caption's, at most `length`."""
        cleaned = list(map(self.clean, captions)) if self.clean else list(captions)
        rows: list[list[int]] = self.tokenizer(cleaned, truncation=False, verbose=False)["input_ids"]  # pyright: ignore[reportAssignmentType]
        longer = sum(len(row) > self.length for row in rows)
        if longer and not self.cut:
            logger.warning(
                "%s reads %d tokens of a caption; %d of the first %d captions are longer and are cut",
                self.name, self.length, longer, self.seen + len(rows),
            )  # fmt: skip
        self.seen += len(rows)
        self.cut += longer
        # The last token marks the end, and the model looks for it.
        rows = [row if len(row) <= self.length else [*row[: self.length - 1], row[-1]] for row in rows]
        ids = torch.full((len(rows), max(map(len, rows), default=0)), int(self.tokenizer.pad_token_id))  # pyright: ignore[reportArgumentType]
        mask = torch.zeros_like(ids)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = torch.tensor(row)
            mask[index, : len(row)] = 1
        return ids, mask
