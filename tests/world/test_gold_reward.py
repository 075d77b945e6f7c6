"""The gold judge where rewards are asked for by name."""

from pathlib import Path

import pytest
import torch

from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.rewards.catalog import load_reward
from rglcd_pipelines.rewards.settings import RewardConfig
from rglcd_pipelines.world.batches import draw_batch, unit
from rglcd_pipelines.world.gold import GoldReward
from rglcd_pipelines.world.judge import Judge

CPU = torch.device("cpu")
JUDGE = Path(__file__).parents[2] / "data/06_models/base/world/judge"
KIND = "rglcd_pipelines.world.gold:GoldReward"


def test_it_says_what_the_judge_says() -> None:
    config = RewardConfig(kind=KIND, options={"folder": str(JUDGE)})
    reward = load_reward("gold", {"gold": config}, CPU)
    assert isinstance(reward, GoldReward)
    assert not reward.differentiable
    batch = draw_batch("figures", 5, 6, 32, held_out=True)
    images, captions = unit(batch.images), [scene.caption for scene in batch.scenes]
    found = reward.score(images, captions)
    assert found.dtype == torch.float32
    assert torch.equal(found, Judge.load(JUDGE).score(images, captions))
    assert found.mean() > 0.9  # renders are what it likes
    noisy = (images + 0.2 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    assert (reward.score(noisy, captions) < found).all()


def test_where_there_is_no_judge(tmp_path: Path) -> None:
    config = RewardConfig(kind=KIND, options={"folder": str(tmp_path)})
    with pytest.raises(DataError, match="holds no whole judge"):
        load_reward("gold", {"gold": config}, CPU)
    with pytest.raises(ConfigError, match=r"rewards\.gold\.options: .* does not take them"):
        load_reward("gold", {"gold": RewardConfig(kind=KIND)}, CPU)
