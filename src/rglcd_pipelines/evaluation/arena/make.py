"""An arena: a page for votes, and the key that says whose picture was where."""

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rglcd_pipelines.artifacts import (
    Artifact,
    atomic_file,
    digest_files,
    digest_json,
    draft,
    open_artifact,
    publish,
    standing,
)
from rglcd_pipelines.data.images import BadImage, inspect
from rglcd_pipelines.errors import DataError
from rglcd_pipelines.evaluation.arena.draw import draw_comparisons
from rglcd_pipelines.evaluation.arena.entrants import common_prompts
from rglcd_pipelines.evaluation.arena.key import KEY_FILE, KEY_VERSION, Comparison, Key, write_key
from rglcd_pipelines.evaluation.arena.page import Pair, make_page, page_digest, plain_png
from rglcd_pipelines.evaluation.arena.settings import ArenaConfig, Entrant
from rglcd_pipelines.evaluation.generate.samples import Samples

FORMAT = 1
"""Raised whenever the same samples would give another arena than before."""
PAGE_FILE = "arena.html"
MOST_BYTES = 400_000_000
"""Of all pictures of a page; browsers refuse to open much more from one file."""

logger = logging.getLogger(__name__)


def make_arena(config: ArenaConfig, samples: Mapping[str, Samples], place: Path) -> Artifact:
    """The page for votes about `samples`, which are those of each model by its name."""
    prompts = common_prompts(config, samples)
    models = sorted({entrant.model for entrant in config.entrants})
    made_from = {
        "format": FORMAT,
        "page": page_digest(),
        "settings": config.model_dump(mode="json"),
        "samples": {model: samples[model].digest for model in models},
    }
    if ready := standing(place, "arena", made_from):
        logger.info("%s: the arena is there already; nothing to do", place / PAGE_FILE)
        return ready
    began = time.perf_counter()
    comparisons = draw_comparisons(config, prompts)
    pairs = _pairs(config, samples, comparisons)
    key = _key(config, comparisons, pairs)
    with draft(place, made_from) as work:
        write_key(work.path, key)
        with atomic_file(work.path / PAGE_FILE) as file:
            file.write(make_page(key, pairs).encode())
        _keep_earlier(place, key.id)
        body = {"arena": key.id, "comparisons": len(comparisons), "files": digest_files(work.path)}
        metrics = {"comparisons": len(comparisons), "seconds": time.perf_counter() - began}
        made = publish(work, place, "arena", made_from, body, metrics)
    logger.info("%s: %d comparisons. Send raters this file alone; %s beside it says whose pictures they are",
                place / PAGE_FILE, len(comparisons), KEY_FILE)  # fmt: skip
    return made


def _keep_earlier(place: Path, id: str) -> None:
    """Another arena that stood here moves aside: without its key, the votes of its raters would be lost."""
    try:
        earlier = open_artifact(place, "arena")
    except DataError:
        return
    kept = place.with_name(f"{place.name}-{earlier.manifest['arena']}")
    if earlier.manifest["arena"] != id and not kept.exists():
        place.rename(kept)
        logger.info("%s: the arena that was there is kept, as votes for it need its key", kept)


def _pairs(
    config: ArenaConfig, samples: Mapping[str, Samples], comparisons: Sequence[Comparison]
) -> dict[str, Pair]:
    """The two pictures of each comparison, on the sides that were drawn."""
    pictures = _pictures(config, samples, comparisons)
    pairs: dict[str, Pair] = {}
    for one in comparisons:
        pairing = config.pairings[one.pairing]
        ours, theirs = pictures[pairing.ours][one.prompt], pictures[pairing.theirs][one.prompt]
        _check_alike(one.prompt, [(pairing.ours, ours), (pairing.theirs, theirs)])
        pairs[one.id] = Pair(ours, theirs) if one.a == "ours" else Pair(theirs, ours)
    return pairs


def _pictures(
    config: ArenaConfig, samples: Mapping[str, Samples], comparisons: Sequence[Comparison]
) -> dict[Entrant, dict[str, bytes]]:
    """The pictures that are compared, by who drew them and the prompt's key."""
    wanted = {one.prompt for one in comparisons}
    pictures: dict[Entrant, dict[str, bytes]] = {}
    total = 0
    for entrant in config.entrants:
        found = pictures[entrant] = {}
        for prompt, content in samples[entrant.model].pngs(entrant.column, config.set):
            if prompt.key not in wanted:
                continue
            found[prompt.key] = _plain(content, entrant, prompt.key)
            total += len(found[prompt.key]) * sum(entrant in (p.ours, p.theirs) for p in config.pairings)
            _check_room(total)
    return pictures


def _plain(content: bytes, entrant: Entrant, prompt: str) -> bytes:
    try:
        return plain_png(content)
    except BadImage as error:
        raise DataError(
            f"The picture of {prompt} by {entrant} cannot be read ({error}). Remove the samples of "
            f"{entrant.model} and draw them again: kedro run --pipeline=evaluate"
        ) from None


def _check_room(total: int) -> None:
    if total > MOST_BYTES:
        raise DataError(
            f"arena.prompts: the pictures of one page would take more than {MOST_BYTES / 1e6:.0f} MB, which "
            "browsers do not open. Ask for fewer prompts or fewer pairings."
        )


def _check_alike(prompt: str, pictures: Sequence[tuple[Entrant, bytes]]) -> None:
    """Sizes would tell the models apart."""
    found = [(entrant, inspect(content)) for entrant, content in pictures]
    if len({(facts.width, facts.height) for _, facts in found}) > 1:
        told = " and ".join(f"{entrant} {facts.width} × {facts.height} pixels" for entrant, facts in found)
        raise DataError(
            f"The pictures of {prompt} differ in size, which would tell the models apart: {told}. "
            "Pair models of one resolution."
        )


def _key(config: ArenaConfig, comparisons: list[Comparison], pairs: Mapping[str, Pair]) -> Key:
    """The key; its id names what is compared and asked, so that other votes are not taken for its own."""
    key = Key(
        version=KEY_VERSION,
        id="",
        title=config.title,
        set=config.set,
        pairings=config.pairings,
        questions=config.questions,
        comparisons=comparisons,
    )
    pictures = {id: digest_json([pair.a.hex(), pair.b.hex()]) for id, pair in pairs.items()}
    named = digest_json({"key": key.model_dump(mode="json"), "pictures": pictures})[:12]
    return key.model_copy(update={"id": named})
