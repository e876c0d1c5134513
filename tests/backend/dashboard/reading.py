"""A run page, read as a browser does."""

from html.parser import HTMLParser

from flask.testing import FlaskClient

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


BALLOTS = ("tg", "gb", "bb", "b-")


class Page(HTMLParser):
    """A page's text, ids, and what it refers to."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.ids, self.sources, self.links, self.tags = "", [], [], [], []
        self.html = html
        self._hidden = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden = tag in ("style", "script")
        self.tags.append(tag)
        found = dict(attrs)
        if found.get("id"):
            self.ids.append(found["id"])
        if found.get("src"):
            self.sources.append(found["src"])
        if found.get("href"):
            self.links.append(found["href"])
        if tag == "img":
            assert "alt" in found, found

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text += f"{data} "


def get(client: FlaskClient, path: str) -> Page:
    answer = client.get(path)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    page = Page(answer.get_data(as_text=True))
    page.text = " ".join(page.text.split())
    assert len(page.ids) == len(set(page.ids))
    return page
