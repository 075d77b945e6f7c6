"""Pipelines of diffusers as folders that load in float32, whatever they are saved in."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rglcd_pipelines.artifacts import write_json
from rglcd_pipelines.progress import hide_library_bars


def save(pipeline: Any, folder: Path, dtype: torch.dtype) -> None:
    """All parts of `pipeline`, with their weights as `dtype`."""
    hide_library_bars()
    for part in pipeline.components.values():
        if isinstance(part, nn.Module):
            nn.Module.to(part, dtype=dtype)
        elif hasattr(part, "backend_tokenizer"):
            # A tokenizer would be saved with how it was used last.
            part.backend_tokenizer.no_padding()
            part.backend_tokenizer.no_truncation()
    pipeline.save_pretrained(folder)
    for file in folder.glob("*/config.json"):
        told = json.loads(file.read_text(encoding="utf-8"))
        told.pop("_name_or_path", None)  # where this machine read it from: no part of the model
        if file.parent.name.startswith("text_encoder"):
            # Unlike diffusers, transformers loads weights as what they were saved as, unless told otherwise.
            told["dtype"] = "float32"
        write_json(file, told)
