"""The world's parameters: the settings of every part. Importing this imports torch."""

from pydantic import Field, model_validator

from rglcd_pipelines.config import Config
from rglcd_pipelines.world.autoencoder import AutoencoderConfig
from rglcd_pipelines.world.clip import ClipConfig
from rglcd_pipelines.world.figures import FiguresConfig
from rglcd_pipelines.world.judge import JudgeConfig
from rglcd_pipelines.world.judge.degrade import BLOCK
from rglcd_pipelines.world.preferences import PreferencesConfig
from rglcd_pipelines.world.render import MIN_RESOLUTION
from rglcd_pipelines.world.sets import SetsConfig
from rglcd_pipelines.world.stand_ins import ClipRewardConfig, ImageRewardConfig
from rglcd_pipelines.world.teacher import TeacherConfig
from rglcd_pipelines.world.vocabulary import STYLES


class WorldConfig(Config):
    """How the miniature world is made."""

    resolution: int = Field(ge=MIN_RESOLUTION)
    """The side of its pictures in pixels."""
    autoencoder: AutoencoderConfig
    """From pixels to latents and back."""
    clip: ClipConfig
    """Text and image towers: the teacher's text encoder, and the reward `clip`."""
    judge: JudgeConfig
    """The gold judge's classifiers."""
    teacher: TeacherConfig
    """The diffusion model that is distilled."""
    preferences: PreferencesConfig
    """Pairs labelled by the rules of taste."""
    hps: ClipRewardConfig
    """The stand-in for HPSv2.1."""
    pick: ClipRewardConfig
    """The stand-in for PickScore."""
    imgrwd: ImageRewardConfig
    """The stand-in for ImageReward."""
    sets: SetsConfig
    """What later stages are measured on."""
    figures: FiguresConfig
    """How the finished world is measured."""

    @model_validator(mode="after")
    def _fits(self) -> "WorldConfig":
        factor = max(BLOCK, 2 ** (len(self.autoencoder.block_out_channels) - 1))
        if self.resolution % factor:
            raise ValueError(f"resolution is {self.resolution}, no multiple of {factor}; change it")
        asked, there = self.figures.prompts, self.sets.prompts_per_style * len(STYLES)
        if asked > there:
            raise ValueError(
                f"figures.prompts is {asked}, but sets.prompts_per_style = {self.sets.prompts_per_style} "
                f"makes {there}; lower the one or raise the other"
            )
        return self
