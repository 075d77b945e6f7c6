"""The gold judge: a rule of taste on measurements and an ensemble of classifiers. Imports torch."""

from rglcd_pipelines.world.judge.judge import Judge, accuracy
from rglcd_pipelines.world.judge.make import make_judge
from rglcd_pipelines.world.judge.taste import TASTES, Taste
from rglcd_pipelines.world.judge.train import JudgeConfig

__all__ = ["TASTES", "Judge", "JudgeConfig", "Taste", "accuracy", "make_judge"]
