"""What `make demo` says at its end: what was made, and where to look."""

import json
from pathlib import Path
from typing import Any

PAIRS = Path("data/02_intermediate/base/pairs")
LATENTS = Path("data/04_feature/base/latents")
SHEET = Path("data/08_reporting/base/pairs.png")
DOCS = Path("data/08_reporting/base/data_docs/gx/uncommitted/data_docs/local_site/index.html")


def manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))


def main() -> None:
    pairs, latents = manifest(PAIRS), manifest(LATENTS)
    counts = pairs["counts"]
    shape = "×".join(map(str, latents["latent"]["shape"]))
    print(
        f"""
{counts["kept"]:,} pairs of {counts["seen"]:,} were kept, and encoded to latents of {shape}. Where to look:

  {SHEET}
      the first pairs, as pictures
  {DOCS}
      what is expected of the data and what was found, for a browser
  {PAIRS}, {LATENTS}
      the data; manifest.json in each says what it was made from

What to try next, after `source .venv/bin/activate`:

  kedro run --pipeline=encode     again: there is nothing to do
  dvc repro                       the same, by DVC
  kedro mlflow ui                 this run's parameters, figures and pictures
  kedro viz run                   the graph"""
    )


if __name__ == "__main__":
    main()
