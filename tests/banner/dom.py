"""HTML as a tree, read with the standard library's parser: enough to say what a visitor is offered."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser

VOID = {"input", "link", "meta"}


class Node:
    """An element: its `tag`, its attributes by name (None for one without a value), its children."""

    def __init__(self, tag: str, attributes: dict[str, str | None]) -> None:
        self.tag, self.attributes = tag, attributes
        self.children: list[Node | str] = []

    def __getitem__(self, name: str) -> str:
        return self.attributes[name] or ""

    def __contains__(self, name: str) -> bool:
        return name in self.attributes

    def __iter__(self) -> Iterator[Node]:
        """Go through this element and all below it, in document order."""
        yield self
        for child in self.children:
            if isinstance(child, Node):
                yield from child

    def all(self, tag: str | None = None, **attributes: str) -> list[Node]:
        """Find the elements of that name with those attributes; `class_` finds any that carries the class."""
        return [node for node in self if tag in (None, node.tag) and node._has(attributes)]

    def one(self, tag: str | None = None, **attributes: str) -> Node:
        """Find the only such element."""
        (found,) = self.all(tag, **attributes)
        return found

    @property
    def text(self) -> str:
        """All text inside, as it is read, white space made single."""
        return " ".join("".join(self._texts()).split())

    def _texts(self) -> Iterator[str]:
        for child in self.children:
            yield from [child] if isinstance(child, str) else child._texts()

    def _has(self, wanted: dict[str, str]) -> bool:
        classes = self.attributes.get("class") or ""
        return all(
            value in classes.split() if name == "class_" else self.attributes.get(name) == value
            for name, value in wanted.items()
        )


class _Reader(HTMLParser):
    """Builds the tree, and is as strict as the output is regular: what opens closes, in order."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Node("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, dict(attrs))
        assert len(node.attributes) == len(attrs), f"an attribute comes twice: {attrs}"
        self.open[-1].children.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")


def read(html: bytes) -> Node:
    """Read an HTML document or fragment; its elements are below the node that is returned."""
    reader = _Reader()
    reader.feed(html.decode("ascii"))
    reader.close()
    assert len(reader.open) == 1, f"not closed: {[node.tag for node in reader.open]}"
    return reader.open[0]


def shape(node: Node) -> list[tuple[str, tuple[str, ...]]]:
    """Give the elements in order with the names of their attributes: all that a text must not change."""
    return [(each.tag, tuple(each.attributes)) for each in node]
