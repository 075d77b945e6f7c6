"""Trains a student, or a latent reward model, without Kedro.

    python -m rglcd_pipelines.training resolved.json
    torchrun --nproc-per-node=8 -m rglcd_pipelines.training resolved.json

`kedro run --pipeline=distill --to-nodes=VARIANT.resolve` writes the file, and for the latent reward model
`kedro run --pipeline=lrm --to-nodes=resolve_lrm`.
"""

import argparse
import logging
import os
import sys
from pathlib import Path

from rglcd_pipelines.errors import RglcdError
from rglcd_pipelines.training.jobs import read_job


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m rglcd_pipelines.training", description="Do a training job."
    )
    parser.add_argument("job", type=Path, help="the file that says all of it: resolved.json")
    options = parser.parse_args()
    first = os.environ.get("RANK", "0") == "0"
    logging.basicConfig(level=logging.INFO if first else logging.WARNING, format="%(message)s")
    try:
        from rglcd_pipelines.training.launch import run

        made = run(read_job(options.job))
    except RglcdError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if first:
        print(made.path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
