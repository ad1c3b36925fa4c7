"""Reading a page as a visitor does: its text, its forms and their buttons, the scripts that it loads."""

from __future__ import annotations

from collections.abc import Mapping
from html.parser import HTMLParser

from attrs import define, field

from consentkit.cli.demo_check.expect import Wrong

__all__ = ["Button", "Form", "Page", "parse_page"]

_SILENT = frozenset({"script", "style", "title"})


@define
class Button:
    """A button: its label, what it posts, and every other attribute."""

    value: str
    attributes: Mapping[str, str]
    label: str = ""


@define
class Form:
    """A form: where it leads, its unseen fields, its toggles with how they stand, and its buttons."""

    action: str
    method: str
    fields: dict[str, str] = field(factory=dict)
    toggles: dict[str, bool] = field(factory=dict)
    buttons: list[Button] = field(factory=list)

    def button(self, value: str) -> Button:
        """Find a button by what it posts."""
        found = next((one for one in self.buttons if one.value == value), None)
        if found is None:
            raise Wrong(
                f"the form has a button that posts {value!r}", value, [one.value for one in self.buttons]
            )
        return found


@define
class Page:
    """A page: its forms, the sources of its scripts, the ids of its elements, its texts, and its language."""

    forms: list[Form] = field(factory=list)
    scripts: list[str] = field(factory=list)
    links: list[str] = field(factory=list)
    texts: dict[str, list[str]] = field(factory=dict)
    ids: set[str] = field(factory=set)
    language: str = ""

    def text(self, within: str = "") -> str:
        """Return the text, or that within the element of an id."""
        return " ".join(self.texts.get(within, []))

    def form(self, action: str, post: str) -> Form:
        """Find the form that leads to `action` and has a button that posts `post`."""
        for form in self.forms:
            if form.action == action and any(button.value == post for button in form.buttons):
                return form
        raise Wrong(
            f"the page has a form with the choice {post!r}", action, [form.action for form in self.forms]
        )


def parse_page(html: str) -> Page:
    """Read a page."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.page


class _Reader(HTMLParser):
    """Builds a page. `open_ids` are the ids of the elements that are open, each with its depth."""

    _VOID = frozenset(
        {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
    )

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = Page()
        self.stack: list[tuple[str, str]] = []
        self.form: Form | None = None
        self.button: Button | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if name := given.get("id"):
            self.page.ids.add(name)
        if tag not in self._VOID:
            self.stack.append((tag, name or ""))
        if tag == "html":
            self.page.language = given.get("lang", "")
        elif tag == "script" and "src" in given:
            self.page.scripts.append(given["src"])
        elif tag == "a" and "href" in given:
            self.page.links.append(given["href"])
        elif tag == "form":
            self.form = Form(given.get("action", ""), given.get("method", "get"))
            self.page.forms.append(self.form)
        elif self.form is not None:
            self._control(self.form, tag, given)

    def _control(self, form: Form, tag: str, given: dict[str, str]) -> None:
        if tag == "button" and given.get("type", "submit") == "submit":
            rest = {name: value for name, value in given.items() if name not in ("value", "name")}
            self.button = Button(given.get("value", ""), rest)
            form.buttons.append(self.button)
        elif tag == "input" and given.get("type") == "checkbox":
            form.toggles[given.get("value", "")] = "checked" in given
        elif tag == "input" and "name" in given:
            form.fields[given["name"]] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        while self.stack and any(open_tag == tag for open_tag, _ in self.stack):
            if self.stack.pop()[0] == tag:
                break
        if tag == "form":
            self.form = None
        elif tag == "button":
            self.button = None

    def handle_data(self, data: str) -> None:
        text = " ".join(data.split())
        if not text or any(tag in _SILENT for tag, _ in self.stack):
            return
        for name in {"", *(name for _, name in self.stack)}:
            self.page.texts.setdefault(name, []).append(text)
        if self.button is not None:
            self.button.label += text
