"""The nodes of arena and votes; they import what they call when they run."""

import logging
from pathlib import Path

from rglcd_pipelines.artifacts import Artifact, open_artifact
from rglcd_pipelines.evaluation.arena.settings import ArenaConfig, VotesConfig

logger = logging.getLogger(__name__)


def build_arena(config: ArenaConfig, place: str, *samples: Artifact) -> Artifact:
    """The page, at `place`."""
    from rglcd_pipelines.evaluation.arena.make import make_arena
    from rglcd_pipelines.evaluation.generate.samples import Samples

    opened = [Samples(one) for one in samples]
    made = make_arena(config, {one.name: one for one in opened}, Path(place))
    logger.info("%s: open it in a browser; its votes go into votes.files", made.path / "arena.html")
    return made


def tally_votes(config: VotesConfig, places: dict[str, str]) -> Artifact:
    """Figures of all votes that were given in the arena."""
    from rglcd_pipelines.evaluation.arena.count import count_votes

    return count_votes(config, open_artifact(Path(places["arena"]), "arena"), Path(places["votes"]))
