"""The trajectories stage."""

from functools import partial, update_wrapper

from kedro.pipeline import Pipeline, node

from rglcd_pipelines.pipelines.trajectories.nodes import answer


def create_pipeline(seed: int | None = None) -> Pipeline:
    """The stage; `seed` asks for other draws than trajectories.draws.seed, beside those."""
    if seed is None:
        make, outputs, namespace = answer, "trajectories", None
    else:
        make = update_wrapper(partial(answer, seed=seed), answer)
        outputs, namespace = f"seed{seed}/trajectories", f"seed{seed}"
    return Pipeline(
        [
            node(
                make,
                inputs=["latents", "params:teacher", "params:trajectories", "params:places.trajectories"],
                outputs=outputs,
                name="trajectories",
                namespace=namespace,
            )
        ]
    )
