"""What `make demo` says at its end: Table 1's rows, and where to look."""

import csv
from pathlib import Path

REPORT = Path("data/08_reporting/base/report")
STUDENTS = Path("data/06_models/base/students")
SHEET = Path("data/08_reporting/base/students/hps.png")


def main() -> None:
    print(f"""
{rows(REPORT / "table1.csv")}

Scores of the miniature world, which compare methods in it and say nothing about another. Where to look:

  {REPORT / "report.html"}
      all of it, with intervals, pictures, and which of the paper's orderings hold; for a browser
  {SHEET}
      what a student draws of captions that nobody trained on, in 1, 2, 4 and 8 steps
  {STUDENTS / "hps"}
      the student; its README.md says how to sample it with diffusers

What to try next, after `source .venv/bin/activate`:

  kedro run --pipeline=report                           the paper's whole Table 1
  kedro run --pipeline=evaluate --params=variant=clip   one more student
  kedro run --pipeline=arena                            a page on which people vote
  dvc repro evaluate-hps                                the same, by DVC: there is nothing to do
  kedro mlflow ui                                       losses, samples and scores: a row a student
  kedro viz run                                         the graph""")


def rows(file: Path) -> str:
    """The table's numbers, in columns."""
    with file.open(encoding="utf-8", newline="") as lines:
        table = list(csv.reader(lines))
    shown = [place for place, name in enumerate(table[0]) if not name.endswith(("_low", "_high"))]
    cells = [[_short(row[place]) for place in shown] for row in table]
    widths = [max(len(row[place]) for row in cells) for place in range(len(shown))]
    return "\n".join(
        "  ".join(cell.ljust(width) if place == 0 else cell.rjust(width)
                  for place, (cell, width) in enumerate(zip(row, widths, strict=True)))
        for row in cells
    )  # fmt: skip


def _short(cell: str) -> str:
    try:
        return f"{float(cell):.4g}"
    except ValueError:
        return cell


if __name__ == "__main__":
    main()
