"""What `make demo` says at its end: what was made, and where to look."""

import json
from pathlib import Path
from typing import Any

PAIRS = Path("data/02_intermediate/base/pairs")
LATENTS = Path("data/04_feature/base/latents")
DOCS = Path("data/08_reporting/base/data_docs/gx/uncommitted/data_docs/local_site/index.html")


def manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))


def main() -> None:
    pairs, latents = manifest(PAIRS), manifest(LATENTS)
    counts = pairs["counts"]
    shape = "×".join(map(str, latents["latent"]["shape"]))
    print(
        f"""
{counts["kept"]:,} pairs of {counts["seen"]:,} were kept, and encoded to latents of {shape}.

  {PAIRS}/           the images and captions, and table.parquet that accounts for each
  {LATENTS}/            their latents
  {DOCS}
      what is expected of them, and what was found (open it in a browser)

  mlflow ui --backend-store-uri sqlite:///mlflow.db      this run's parameters and figures
  kedro run --pipeline=encode                            again: there is nothing to do
  dvc repro                                              the same, by DVC

Run these after: source .venv/bin/activate"""
    )


if __name__ == "__main__":
    main()
