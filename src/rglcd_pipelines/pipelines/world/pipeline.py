"""The recipe of the miniature world, a node for each part."""

from kedro.pipeline import Pipeline, node

from rglcd_pipelines.pipelines.world.nodes import assembler, part_maker, picture

PARTS: dict[str, list[str]] = {
    # each part and the parts that it is made from
    "autoencoder": [],
    "clip": [],
    "judge": [],
    "teacher": ["autoencoder", "clip"],
    "preferences": ["teacher", "judge"],
    "hps": ["clip", "preferences"],
    "pick": ["clip", "preferences"],
    "imgrwd": ["preferences"],
    "sets": [],
}


def create_pipeline() -> Pipeline:
    # Parts pass from node to node as handles; they stand in the workshop and are found there again.
    parts = [
        node(
            part_maker(name, needs),
            inputs=["params:world", "params:places.workshop", "params:places.world", *map(_handle, needs)],
            outputs=_handle(name),
            name=f"make_{name}",
        )
        for name, needs in PARTS.items()
    ]
    whole = node(
        assembler(list(PARTS)),
        inputs=["params:world", "params:places.world", *map(_handle, PARTS)],
        outputs="world",
        name="assemble_world",
    )
    sheet = node(
        picture,
        inputs=["world", "params:places.reporting"],
        outputs="world_sheet",
        name="picture_world",
    )
    return Pipeline([*parts, whole, sheet])


def _handle(part: str) -> str:
    return f"world_{part}"
