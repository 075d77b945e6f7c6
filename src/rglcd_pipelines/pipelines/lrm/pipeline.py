"""The lrm stage."""

from kedro.pipeline import Pipeline, node

from rglcd_pipelines.pipelines.lrm.nodes import (
    check_zero_shot,
    collect_labelled,
    embed_captions,
    encode_labelled,
    picture_zero_shot,
    pretrain,
    resolve_lrm,
)


def create_pipeline() -> Pipeline:
    return Pipeline(
        [
            node(
                embed_captions,
                inputs=["latents", "params:lrm", "params:places.captions"],
                outputs="captions",
                name="embed_captions",
            ),
            node(
                resolve_lrm,
                inputs=["params:lrm", "params:places", "latents", "captions"],
                outputs="lrm_job",
                name="resolve_lrm",
            ),
            node(pretrain, inputs=["lrm_job", "latents", "captions"], outputs="lrm", name="lrm"),
            node(
                collect_labelled,
                inputs=["params:lrm", "params:places.hub", "params:places.labelled"],
                outputs="labelled",
                name="labelled",
            ),
            node(
                encode_labelled,
                inputs=["labelled", "params:encode", "params:places.labelled_latents"],
                outputs="labelled_latents",
                name="encode_labelled",
            ),
            node(
                check_zero_shot,
                inputs=["lrm", "labelled_latents", "params:lrm", "params:places.zero_shot"],
                outputs="zero_shot",
                name="zero_shot",
            ),
            node(
                picture_zero_shot,
                inputs="zero_shot",
                outputs="zero_shot_sheet",
                name="picture_zero_shot",
            ),
        ]
    )
