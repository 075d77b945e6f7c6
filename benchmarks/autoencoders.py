"""Which autoencoder the miniature world has: 32 pixels at factor 4, or 64 at factor 8, after equal time.

    python -m benchmarks.autoencoders [--minutes 5] [--threads 1]

Both have latents of 4 by 8 by 8 and learn by the world's recipe, each for so many minutes of training.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import torch

from benchmarks._report import report
from rglcd_pipelines.training.fit import FitConfig
from rglcd_pipelines.world.autoencoder import AutoencoderConfig, make_autoencoder

SIZES = {
    # pixels of a side: channels of each level, every one of which after the first halves it
    32: [24, 48, 64],
    64: [24, 48, 64, 64],
}
TRIED = 60
"""Steps that say how long one takes."""


def config(channels: list[int], steps: int) -> AutoencoderConfig:
    fit = FitConfig(steps=steps, batch_size=32, lr=2e-3, warmup_steps=min(200, steps))
    return AutoencoderConfig(block_out_channels=channels, fit=fit)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    figures: dict[str, float] = {"minutes": options.minutes}
    with tempfile.TemporaryDirectory() as folder:
        for pixels, channels in SIZES.items():
            tried = make_autoencoder(config(channels, TRIED), pixels, Path(folder, f"tried-{pixels}"))
            # Of the training alone: rendering and measuring what it is judged by takes as long.
            steps = max(1, round(60 * options.minutes * TRIED / tried.metrics["seconds"]))
            made = make_autoencoder(config(channels, steps), pixels, Path(folder, f"made-{pixels}"))
            figures[f"psnr_{pixels}"] = round(made.metrics["psnr"], 2)
            figures[f"high_frequency_kept_{pixels}"] = round(made.metrics["high_frequency_kept"], 3)
            figures[f"seconds_{pixels}"] = made.metrics["seconds"]
            figures[f"steps_{pixels}"] = steps
    gain = figures["psnr_32"] - figures["psnr_64"]
    return 0 if report("autoencoders", figures, {"gain_of_32_in_db": (round(gain, 2), ">= 3")}) else 1


if __name__ == "__main__":
    sys.exit(main())
