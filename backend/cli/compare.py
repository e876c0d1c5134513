"""`hero compare`: is the fine-tuned model better? People say so, without knowing which is which."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from backend.cli.shared import MODEL, RunId, app, err, find_run, open_store, out
from backend.settings import Settings, ensure_secrets
from backend.store import LATEST


@app.command(rich_help_panel=MODEL)
def compare(
    run_id: RunId = LATEST,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="base (the default), another run, or RUN:EPOCH.",
        ),
    ] = None,
    pairs: Annotated[int | None, typer.Option(min=1, help="How many pairs. Default: 100.")] = None,
    annotators_per_pair: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="How many people judge each pair. Default: 1."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Of the noises. Default: drawn by lot, and kept."),
    ] = None,
    new: Annotated[
        bool, typer.Option("--new", help="Make another comparison, though there is one.")
    ] = False,
    simulate: Annotated[
        bool,
        typer.Option(
            "--simulate",
            help="Let the demo's two simulated annotators judge; for the bundled models.",
        ),
    ] = False,
) -> None:
    """Compare a run's model with another one: blind, in pairs, in Label Studio.

    Both models draw the same noises. The images stand side by side in a project of their own, and
    which model is on which side is drawn by lot. Give the command again to see how it stands.
    """
    from backend.comparing import carry_out, collect, terminal
    from backend.label_studio import Gateway

    settings = ensure_secrets(Settings.load())
    with open_store(settings) as store:
        run = find_run(store, run_id)
        comparison = carry_out.chosen(
            store,
            run,
            against=against,
            pairs=pairs,
            annotators_per_pair=annotators_per_pair,
            seed=seed,
            new=new,
        )
        gateway = Gateway(settings)
        if comparison.published_at is None:
            gateway.ping()
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
            with Progress(*columns, console=err, transient=True) as progress:
                task = progress.add_task("drawing", total=2 * comparison.pairs)
                comparison = carry_out.publish(
                    settings,
                    store,
                    gateway,
                    comparison,
                    lambda done, total: progress.update(task, completed=done, total=total),
                    lambda: progress.update(task, description="publishing"),
                )
        if simulate:
            from backend.local.simulated_comparison import judge_pairs

            judge_pairs(settings, run, comparison)
        result = collect.fetch_votes(store, gateway, comparison)
        there = result.complete or gateway.has_project(comparison.project_id or 0)
    out.print()
    out.print(terminal.render(result))
    if not there:
        err.print(
            "[yellow]Note:[/] its project in Label Studio is gone, so no more votes come; `hero "
            f"compare {run.id} --new` makes another comparison."
        )
    elif not result.complete:
        address = carry_out.label_address(settings, comparison)
        out.print(f"\nJudge here: {address}", soft_wrap=True, markup=False)
        out.print(f"Then see the result: hero compare {escape(run.id)}", soft_wrap=True)
    if run.epoch != comparison.epoch:
        err.print(
            f"[yellow]Note:[/] the run has learned on since, to epoch {run.epoch}; `hero compare "
            f"{run.id} --new` compares its present model."
        )
