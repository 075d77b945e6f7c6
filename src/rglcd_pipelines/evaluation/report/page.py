"""The page that holds everything: opens from disk, and asks no network for anything."""

from collections.abc import Sequence
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from rglcd_pipelines.evaluation.report.blocks import LeftOut, Section
from rglcd_pipelines.evaluation.report.pictures import data_uri

HERE = files("rglcd_pipelines.evaluation.report")


def render_page(
    title: str, about: Sequence[str], sections: Sequence[Section], left_out: Sequence[LeftOut]
) -> str:
    """report.html: whatever a prompt or a name holds is text in it, never markup."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=False)
    template = environment.from_string((HERE / "page.html").read_text(encoding="utf-8"))
    # The style is ours, and quotes in it must stay quotes.
    css = Markup((HERE / "page.css").read_text(encoding="utf-8"))
    page = template.render(
        title=title, about=about, sections=sections, left_out=left_out, css=css, uri=data_uri
    )
    return page + "\n"
