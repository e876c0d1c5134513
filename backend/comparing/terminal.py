"""A comparison's result on the terminal."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from backend.comparing.result import Result, Tally


def in_words(tally: Tally) -> str:
    """`preferred in 81 of 93 pairs, 87 % (79 to 92); 7 ties`; or that nothing is decided yet."""
    ties = f"{tally.ties} tie{'' if tally.ties == 1 else 's'}"
    share = _share(tally)
    if share is None:
        return f"no pair is decided yet; {ties}" if tally.ties else "no pair is decided yet"
    return f"preferred in {tally.wins} of {tally.decided} pairs, {share}; {ties}"


def _share(tally: Tally) -> str | None:
    if tally.share is None or tally.interval is None:
        return None
    low, high = tally.interval
    return f"{tally.share:.0%} ({100 * low:.0f} to {100 * high:.0f})"


def render(result: Result) -> RenderableType:
    """What is compared, how far it is, who won, and how each person voted."""
    comparison = result.comparison
    models = f"{_begun(result.ours)} against {result.theirs}"
    parts: list[RenderableType] = [
        Text.assemble((comparison.in_words, "bold"), (f"  {comparison.id}", "dim")),
        Text(f"{models}: {comparison.pairs} pairs of the same noises."),
    ]
    if not result.complete:
        parts.append(Text(f"{result.judged} of {comparison.pairs} pairs are judged.", "yellow"))
    if result.judged:
        parts += [Text(f"{_begun(result.ours)} was {in_words(result.tally)}.", style="bold")]
        parts += [Text(result.verdict)] if result.verdict else []
        parts += [Text(), _prompts(result)] if result.by_prompt else []
    if len(result.people) > 1:
        parts += [Text(), _people(result)]
    if result.tally.decided:
        about = "In brackets: the 95 % interval (Wilson), of the pairs that are no ties."
        parts += [Text(f"\n{about}", style="dim")]
    return Group(*parts)


def _prompts(result: Result) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("prompt", overflow="fold")
    for heading in ("preferred", "share", "ties"):
        table.add_column(heading, justify="right")
    for prompt, tally in result.by_prompt.items():
        preferred = f"{tally.wins} of {tally.decided}"
        table.add_row(Text(prompt), preferred, _share(tally) or "-", str(tally.ties))
    return table


def _people(result: Result) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("annotator", overflow="fold")
    for heading in ("pairs", "for the run's model", "for the other", "ties"):
        table.add_column(heading, justify="right")
    for who, tally in result.people.items():
        figures = (tally.pairs, tally.wins, tally.losses, tally.ties)
        table.add_row(who, *map(str, figures))
    return table


def _begun(name: str) -> str:
    return name[0].upper() + name[1:]
