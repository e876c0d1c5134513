"""What a run inherits that goes on from another one: everything that is not said anew."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend import engine
from backend.engine_files import checkpoint_folder
from backend.errors import BadInput, RunNotFound
from backend.run.labelling import Labelling
from backend.settings import Settings
from backend.store import Store

FIXED = ("model", "revision", "pipeline_config", "lora_rank")
"""Settings that the LoRA depends on."""


@dataclass(frozen=True)
class Inherited:
    """Of the run that is gone on from."""

    run_id: str
    epoch: int
    """The number of its epochs after which the model is taken."""
    fields: Mapping[str, Any]
    """Its configuration, with another seed: the noises of its first batch are known already."""
    labelling: Labelling

    def with_changes(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """The new run's configuration; what only the earlier method knew goes with it."""
        merged = {**self.fields, **said}
        foreign = [name for name in engine.foreign_settings(None, merged) if name not in said]
        return {name: value for name, value in merged.items() if name not in foreign}

    def labelling_with(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """How people label it; criteria of another prompt are not taken over."""
        kept = self.labelling.model_dump(exclude_defaults=True)
        if self.labelling.layout == "gallery":
            kept["suggestions"] = self.labelling.suggestions
        if said.get("prompt") not in (None, self.fields["prompt"]):
            kept.pop("criteria", None)
        return {**kept, **said}

    def check(self, preset: str | None, fields: Mapping[str, Any], *, with_labels: bool) -> None:
        """See that a run with this configuration can go on from here.

        Raises:
            BadInput
        """
        if preset is not None:
            raise BadInput(
                "Cannot start the run: --preset and --from do not go together; --from takes over "
                "all settings of the run before, leave --preset out."
            )
        changed = [name for name in FIXED if fields.get(name) != self.fields.get(name)]
        if changed:
            raise BadInput(
                f"Cannot go on from {self.run_id} with another {', '.join(changed)}: what it has "
                "learned fits only the model that it was learned on; leave it out."
            )
        if with_labels:
            self._check_labels(fields)

    def _check_labels(self, fields: Mapping[str, Any]) -> None:
        before, now = str(self.fields["method"]), str(fields["method"])
        if not engine.learns_from_images(now):
            raise BadInput(
                f"Cannot go on with the labels of {self.run_id}: {now} learns from the denoising "
                "steps of the images that its own model draws; use --method hero+ in both runs, or "
                "leave --with-labels out."
            )
        if before != now:
            raise BadInput(
                f"Cannot go on with the labels of {self.run_id}: its method is {before}, which "
                f"keeps no judged images for {now}; leave --with-labels out."
            )
        for name in ("prompt", "height", "width"):
            if fields.get(name) != self.fields.get(name):
                raise BadInput(
                    f"Cannot go on with the labels of {self.run_id} and another {name}: they speak "
                    "of other images; leave --with-labels out."
                )


def inherited(settings: Settings, store: Store, said: str) -> Inherited:
    """What a run inherits that goes on from RUN or RUN:EPOCH; epochs count from 1.

    Raises:
        BadInput: there is no such run, or it has not learned so far.
    """
    name, separator, number = said.partition(":")
    try:
        run = store.run(name)
    except RunNotFound as error:
        raise BadInput(
            f"Cannot go on from {said!r}: there is no such run; `hero runs` lists the runs."
        ) from error
    if run.epoch == 0:
        raise BadInput(
            f"Cannot go on from {run.id}: it has not learned from any epoch yet; start a run "
            "without --from."
        )
    epoch = run.epoch
    if separator:
        if not number.isdecimal() or not 1 <= int(number) <= run.epoch:
            raise BadInput(
                f"Cannot go on from {said!r}: say an epoch from 1 to {run.epoch}, or none for the "
                "newest."
            )
        epoch = int(number)
    here = settings.run_dir(run.id).exists()
    if here and not checkpoint_folder(settings, run.id, epoch).exists():
        raise BadInput(
            f"Cannot go on from {run.id} after epoch {epoch}: its checkpoint is gone; choose "
            "another epoch."
        )
    fields = engine.read_config(run.config).flat()
    del fields["format"]
    fields["seed"] = int(fields["seed"]) + 1
    return Inherited(run.id, epoch, fields, run.labelling)


def nothing_to_inherit(said: str) -> Inherited:
    """Where no runs are known."""
    raise BadInput(f"Cannot go on from {said!r}: there is no run.")
