"""The whole parameter tree: what YAML and `--params` may say, checked before the first node runs."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import model_validator

from rglcd_pipelines.config import Config
from rglcd_pipelines.data.latents.settings import EncodeConfig
from rglcd_pipelines.diffusion.settings import TeacherConfig
from rglcd_pipelines.evaluation.arena.settings import ArenaConfig, VotesConfig
from rglcd_pipelines.evaluation.settings import TEACHER, EvaluateConfig, judges_of
from rglcd_pipelines.pipelines.ingest.config import IngestConfig
from rglcd_pipelines.pipelines.report.config import ReportStageConfig
from rglcd_pipelines.rewards.settings import RewardConfig
from rglcd_pipelines.training.lrm_settings import LrmConfig, MatchingConfig
from rglcd_pipelines.training.preflight import check_names
from rglcd_pipelines.training.publishing import PublishConfig
from rglcd_pipelines.training.series import Series, expand
from rglcd_pipelines.training.settings import DistillConfig, TrajectoriesConfig, VariantConfig, choose


class Places(Config):
    """Where each stage leaves what it made, from globals.yml."""

    hub: str
    """Shards of the hub's repositories, as downloaded; the environments share them."""
    raw: str
    """Renders, and what was downloaded from a list of URLs."""
    pairs: str
    """Clean shards of images and captions."""
    latents: str
    """The autoencoder's latents of the pairs."""
    trajectories: str
    """The teacher's answers to every step's draws."""
    captions: str
    """What the latent reward model's text tower says of every caption."""
    jobs: str
    """What each student's training was told: a JSON file each."""
    real_rewards: str
    """What experts say of real images, kept for all students."""
    labelled: str
    """The labelled images of the zero-shot check."""
    labelled_latents: str
    """Their latents."""
    lrm: str
    """The latent reward model, as pretrained."""
    zero_shot: str
    """What it knows of the labelled images."""
    students: str
    """The distilled models, a folder for each variant."""
    prompts: str
    """What is drawn by every model that is evaluated."""
    reference: str
    """What real pictures look like to those who compare samples with them."""
    samples: str
    """What models drew, a folder for each."""
    scores: str
    """What was measured of that, a folder for each."""
    workshop: str
    """The parts of a miniature world in the making; once it stands, nobody needs them."""
    world: str
    """The miniature world's models and sets; those of the environment `base` are in git."""
    reporting: str
    """What there is to look at: pictures, reports, and what Great Expectations found."""
    report: str
    """Tables, figures and one page about many models."""
    arena: str
    """The page on which people vote."""
    votes: str
    """What their votes say."""


class Globals(Config):
    """What globals.yml may say."""

    places: Places
    """Where each stage leaves what it made."""


class Parameters(Config):
    """Every parameter there is."""

    places: Places
    """Where each stage leaves what it made."""
    ingest: IngestConfig
    """From a source to clean pairs."""
    encode: EncodeConfig
    """From pairs to latents."""
    teacher: TeacherConfig
    """The slow model that is distilled."""
    trajectories: TrajectoriesConfig
    """What the teacher is asked, once for all students."""
    variant: str
    """Which student: a name among `variants`."""
    variants: dict[str, VariantConfig]
    """Every student there is, by name."""
    series: Series
    """Students that differ from a variant in a number or two, such as beta; one that is null is left out."""
    rewards: dict[str, RewardConfig]
    """Every reward model that variants may name."""
    distill: DistillConfig
    """How a student learns, whatever its reward."""
    lrm: LrmConfig
    """The latent reward model before any expert."""
    matching: MatchingConfig
    """How it follows an expert, beside a student that follows it."""
    evaluate: EvaluateConfig
    """What models draw, and who judges it."""
    report: ReportStageConfig
    """What a report shows, and of whom."""
    arena: ArenaConfig
    """Whose pictures people compare."""
    votes: VotesConfig
    """Where their votes are."""
    publish: PublishConfig
    """Where a student is published."""
    world: dict[str, Any]
    """How the miniature world is made: a WorldConfig, checked where it is used: its import takes seconds."""

    @model_validator(mode="after")
    def _names_are_there(self) -> "Parameters":
        if TEACHER in self.variants:
            raise ValueError(f"variants.{TEACHER}: is the name of the teacher's samples; choose another")
        known = self.students
        choose(self.variant, known)
        check_names(self.variants, self.rewards)
        for name, where in self._named_elsewhere():
            if name not in known:
                near = get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(self.variants)}"
                raise ValueError(f"{where}: there is no student {name!r}; {hint}")
        judges_of(self.evaluate.judges, self.rewards)
        return self

    @property
    def students(self) -> dict[str, VariantConfig]:
        """Every variant, and every student of a series."""
        return expand(self.variants, self.series)

    def _named_elsewhere(self) -> Iterator[tuple[str, str]]:
        """Students that other parameters name, with where they do."""
        yield self.evaluate.baseline, "evaluate.baseline"
        for name, students in self.report.lists.items():
            yield from ((student, f"report.lists.{name}") for student in students)
        for entrant in self.arena.entrants:
            if entrant.model != TEACHER:
                yield entrant.model, "arena.pairings"


def data_paths(value: Any) -> Iterator[str]:
    """Every string in a tree of parameters that names a path inside `data/`."""
    if isinstance(value, str):
        if value.startswith("data/"):
            yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from data_paths(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from data_paths(inner)
