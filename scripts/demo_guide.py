"""What `make demo` says at its end: what was made, and where to look."""

import json
from pathlib import Path

STUDENT = Path("data/06_models/base/students/hps")
SHEET = Path("data/08_reporting/base/students/hps.png")
PAIRS = Path("data/08_reporting/base/pairs.png")
DOCS = Path("data/08_reporting/base/data_docs/gx/uncommitted/data_docs/local_site/index.html")


def main() -> None:
    told = json.loads((STUDENT / "manifest.json").read_text(encoding="utf-8"))
    figures = told["figures"]
    print(
        f"""
The teacher, which takes 50 steps for a picture, was distilled into a student that takes 1 to 8, guided
by a reward (consistency loss {figures["lcd"]:.3f}, reward {figures["reward"]:.2f} at its end). Where to look:

  {SHEET}
      what the student draws of captions that nobody trained on, in 1, 2, 4 and 8 steps
  {STUDENT}
      the student; its README.md says how to sample it with diffusers
  {PAIRS}
      the first pairs that it learnt from
  {DOCS}
      what is expected of the data and what was found, for a browser

What to try next, after `source .venv/bin/activate`:

  kedro run --pipeline=distill --params=variant=lcm     the same without a reward
  kedro run --pipeline=distill                          again: there is nothing to do
  dvc repro distill-hps                                 the same, by DVC
  kedro mlflow ui                                       losses, reward and samples of each student
  kedro viz run                                         the graph"""
    )


if __name__ == "__main__":
    main()
