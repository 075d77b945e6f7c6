"""Weights that are not there are told of before anything runs."""

from pathlib import Path

import pytest

from rglcd_pipelines.config import check
from rglcd_pipelines.errors import DataError
from rglcd_pipelines.evaluation.preflight import check_evaluation
from rglcd_pipelines.evaluation.settings import EvaluateConfig
from rglcd_pipelines.rewards.settings import RewardConfig


def test_the_file_with_inceptions_weights_has_to_be_there(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("a red cat", encoding="utf-8")
    told = {
        "sets": {"captions": {"kind": "file", "path": str(tmp_path / "prompts.txt"), "use": ["fid"]}},
        "draw": {"teacher": {"slow": {"sampler": "ddim", "steps": 2}}},
        "judges": ["small"],
        "features": {"kind": "inception", "id": str(tmp_path), "file": "weights.pth"},
        "reference": {"kind": "folder", "path": str(tmp_path)},
    }
    config = check(EvaluateConfig, told)
    rewards = {"small": check(RewardConfig, {"kind": "compression"})}
    with pytest.raises(DataError, match=r"weights\.pth: there is no such file"):
        check_evaluation(config, rewards)
    (tmp_path / "weights.pth").touch()
    check_evaluation(config, rewards)
