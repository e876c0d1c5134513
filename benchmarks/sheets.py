"""One table, on the screen and in Markdown."""

from __future__ import annotations

from dataclasses import dataclass, field

from rich.table import Table


@dataclass
class Sheet:
    """A table; the first columns are words, the others figures."""

    title: str
    header: list[str]
    words: int = 1
    """Number of columns that hold words."""
    rows: list[list[str]] = field(default_factory=list)

    def add(self, *values: object) -> None:
        """A row; None is a dash."""
        self.rows.append(["-" if value is None else str(value) for value in values])

    def rich(self) -> Table:
        """For the screen."""
        table = Table(title=self.title, title_justify="left")
        for number, name in enumerate(self.header):
            table.add_column(name, justify="left" if number < self.words else "right")
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        """For a file."""
        rules = ["---" if number < self.words else "---:" for number in range(len(self.header))]
        lines = [self.header, rules, *self.rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def share(value: float | None) -> str | None:
    """A share with two digits."""
    return None if value is None else f"{value:.2f}"
