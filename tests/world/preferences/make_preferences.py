"""The smallest world's judge and preference pairs, from the real teacher and the real judge."""

from pathlib import Path

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.world.judge import JudgeConfig, make_judge
from rglcd_pipelines.world.preferences import PreferencesConfig, make_preferences
from rglcd_pipelines.world.preferences.early import EarlyConfig
from tests.world.make_parts import FEW, SIDE

EARLY = EarlyConfig(captions=4, held_out_captions=3, variants=2, steps=2, omegas=[1.0, 3.0])
CONFIG = PreferencesConfig(pairs=50, held_out_pairs=40, early=EARLY, agreement=0.9)


def tiny_judge(place: Path) -> Artifact:
    return make_judge(JudgeConfig(members=1, width=8, measured=16, fit=FEW), SIDE, place / "judge")


def tiny_preferences(place: Path, teacher: Artifact, judge: Artifact) -> Artifact:
    return make_preferences(CONFIG, teacher, judge, SIDE, place / "preferences")
