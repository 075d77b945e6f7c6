"""What a test asks of an HTML page: its elements, without a browser."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "img", "source", "br", "link", "input", "hr"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    text: str = ""
    above: list[str] = field(default_factory=list)


class Page(HTMLParser):
    """Every element of a page; a tag that is not closed in turn is a mistake."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(html)
        self.close()
        assert not self._open, [one.tag for one in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, names)
        above = [one.tag for one in self._open]
        element = Element(tag, {name: value or "" for name, value in attrs}, above=above)
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open, tag
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def all(self, tag: str) -> list[Element]:
        return [one for one in self.elements if one.tag == tag]
