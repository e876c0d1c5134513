"""What `hero start` is told, by its options and by `--config run.yaml`, as one checked whole."""

import difflib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal
from unicodedata import category

import yaml
from pydantic import ConfigDict, Field, PrivateAttr, ValidationError, field_validator

from backend import engine
from backend.errors import BadInput
from backend.run.chain import Parent
from backend.run.labelling import Labelling, make_labelling
from backend.settings import Settings
from backend.starting.criteria import default_criteria
from backend.starting.going_on import Inherited, nothing_to_inherit
from backend.starting.prompts import read_prompts, split_criteria

ENGINE_FIELDS = {
    "prompt": "prompt",
    "model": "model",
    "revision": "revision",
    "height": "height",
    "width": "width",
    "memory": "memory",
    "held_out": "held_out",
    "images": "images_per_epoch",
    "epochs": "epochs",
    "until": "until",
    "keep": "keep",
    "steps": "num_inference_steps",
    "trained_steps": "trained_steps",
    "method": "method",
    "seed": "seed",
}
"""Options that are hyper-parameters of the engine, and the engine's names for them."""


class Plan(Labelling):
    """Every option of `hero start`; what nobody set is decided by preset, settings or default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str | None = Field(None, description="What the images should show.")
    prompts: tuple[str, ...] = Field(
        (), description="Prompts that one model learns, each as `prompt | criteria`."
    )
    held_out: tuple[str, ...] | None = Field(
        None, description="Prompts that are drawn every epoch and never learned from."
    )
    model: str | None = Field(
        None, description="A diffusers pipeline: folder, id on the hub, or one .safetensors file."
    )
    revision: str | None = Field(None, description="Of a model on the hub: branch, tag or commit.")
    height: int | None = Field(None, description="Height of the images, in pixels.")
    width: int | None = Field(None, description="Width of the images, in pixels.")
    memory: str | None = Field(None, description="How the model is held in memory.")
    preset: str | None = Field(None, description="Named hyper-parameters.")
    from_run: str | None = Field(
        None, alias="from", description="The run, or RUN:EPOCH, from whose model to go on."
    )
    with_labels: bool = Field(False, description="Learn from the labels of that run, too.")
    images: int | None = Field(None, description="Images per epoch.")
    epochs: int | None = Field(None, description="Batches that are drawn and labelled.")
    until: float | str | None = Field(
        None, description="When the run is good enough: a share of good images, or never."
    )
    keep: list[str] | str | None = Field(
        None, description="Prompts that shall stay as they are; or none."
    )
    steps: int | None = Field(None, description="Denoising steps per image.")
    trained_steps: int | None = Field(None, description="Steps of each image that are trained on.")
    method: str | None = Field(None, description="What learns from the labels.")
    seed: int | None = Field(None, description="Decides every random number.")
    hyper_parameters: dict[str, Any] = Field(
        {}, alias="set", description="Any other hyper-parameters, by name."
    )
    title: str | None = Field(None, description="The project's name in Label Studio.")
    project: int | None = Field(None, description="An empty project to use, by its number.")
    format: Literal[1, 2] = Field(
        1, description="Of a file: 2 since settings belong to methods; without it, 1."
    )

    _notes: list[str] = PrivateAttr(default_factory=list)

    _parent: Parent | None = PrivateAttr(default=None)

    def keep_parent(self, inherited: Inherited) -> None:
        """Remember which run this one goes on from."""
        self._parent = Parent(inherited.run_id, inherited.epoch, self.with_labels)

    @property
    def parent(self) -> Parent | None:
        """The run that this one goes on from, if it does."""
        return self._parent

    @property
    def notes(self) -> list[str]:
        """What people should know of how the options were read."""
        return self._notes

    @field_validator("prompts", "held_out", mode="before")
    @classmethod
    def _lines(cls, value: Any) -> Any:
        return read_prompts(Path(value)) if isinstance(value, str) else value

    @field_validator("hyper_parameters", mode="before")
    @classmethod
    def _none(cls, value: Any) -> Any:
        return {} if value is None else value

    @property
    def labelling(self) -> Labelling:
        """How people label; suggestions by default where an image's place does not give away what
        the model thinks of it."""
        fields = self.model_dump(include=set(Labelling.model_fields), exclude_unset=True)
        suggestions = self.layout == "gallery" and self.order == "sequential"
        return make_labelling(**{"suggestions": suggestions, **fields})

    def engine_fields(
        self, settings: Settings, inherited: Inherited | None = None
    ) -> tuple[str | None, dict[str, Any]]:
        """The preset (the bundled model's if neither preset nor model is said), and what
        replaces its fields; of a run that goes on, no preset, and what it inherits.

        Raises:
            BadInput: there is no prompt.
        """
        said = {name: getattr(self, option) for option, name in ENGINE_FIELDS.items()}
        fields = {name: value for name, value in said.items() if value is not None}
        fields |= self.hyper_parameters
        if self.prompts:
            alone = [] if self.prompt is None else [self.prompt]
            first, *further = [*alone, *split_criteria(self.prompts)]
            fields |= {"prompt": first, "further_prompts": further}
        elif self.prompt is not None:
            fields.setdefault("further_prompts", ())  # also where a run of several goes on
        preset = self.preset
        if inherited is not None:
            return None, inherited.with_changes(fields)
        if preset is None and "prompt" not in fields:
            raise BadInput(
                "Cannot start a run without a prompt: say --prompt '...', --prompts FILE, or a "
                "--preset."
            )
        if preset is None and "model" not in fields:
            if settings.model:
                fields["model"] = settings.model
            else:
                preset = "tiny"
        for name in ("model", "pipeline_config"):
            named = fields.get(name)
            if named and not engine.is_bundled(named) and Path(named).expanduser().exists():
                fields[name] = str(Path(named).expanduser().absolute())
        if settings.mixed_precision:
            fields.setdefault("mixed_precision", settings.mixed_precision)
        return preset, fields


def make_plan(
    settings: Settings,
    options: Mapping[str, Any],
    file: Path | None = None,
    inherit: Callable[[str], Inherited] = nothing_to_inherit,
) -> tuple[Plan, engine.RunConfig]:
    """The run's plan, and the engine's configuration; options win over the file, and both over what
    is inherited.

    Args:
        inherit: from RUN or RUN:EPOCH to what a run inherits that goes on from there.

    Raises:
        BadInput: one sentence that names what cannot be used, where it stands, and what can.
    """
    from_file = read_file(file) if file else {}
    options = {key: value for key, value in options.items() if value is not None}
    merged = {**from_file, **options}
    if "set" in options and isinstance(from_file.get("set"), Mapping):
        merged["set"] = {**from_file["set"], **options["set"]}

    def place(key: str) -> str:
        if key in options or file is None:
            return f"--{key.replace('_', '-')}"
        return f"{key} in {file}"

    for key, value in merged.items():
        _check_text(place(key), value)
    inherited = inherit(str(merged["from"])) if merged.get("from") else None
    if inherited is not None:
        merged = inherited.labelling_with(merged)
    try:
        plan = Plan(**merged)
    except ValidationError as error:
        problems = "; ".join(
            f"{place(str(problem['loc'][0])) if problem['loc'] else 'labelling'}: "
            f"{_wrong(problem)}{_given(problem)}"
            for problem in error.errors()
        )
        raise BadInput(f"Cannot start the run: {problems}.") from error
    preset, fields = plan.engine_fields(settings, inherited)
    if inherited is not None:
        inherited.check(plan.preset, fields, with_labels=plan.with_labels)
        plan.keep_parent(inherited)
    elif plan.with_labels:
        raise BadInput(f"Cannot start the run: {place('with_labels')} needs --from RUN.")
    if file is not None and plan.format == 1:
        _leave_out_foreign(plan, preset, fields, options, file)
    try:
        config = engine.make_config(preset, **fields)
    except BadInput as error:
        raise BadInput(f"{error}{_correct(str(error), plan, place)}") from error
    asked = plan.label_budget
    if asked is not None and asked > config.images_per_epoch:
        raise BadInput(
            f"Cannot start the run: {place('label_budget')} is {asked}, and an epoch has only "
            f"{config.images_per_epoch} images; ask for fewer, or leave it out to ask for all."
        )
    return plan.model_copy(update=_criteria(plan, config)), config


def _criteria(plan: Plan, config: engine.RunConfig) -> dict[str, Any]:
    """What makes images good: of a run of one prompt, and of each prompt of several. Where nobody
    says it, the paper does for its tasks."""
    said = split_criteria(plan.prompts)
    said = {**plan.criteria_by_prompt, **{each: text for each, text in said.items() if text}}
    known = {prompt: said.get(prompt) or default_criteria(prompt) for prompt in config.prompts}
    if len(known) > 1:
        if plan.criteria:
            known = {prompt: said.get(prompt, "") for prompt in config.prompts}
        return {"criteria_by_prompt": {prompt: text for prompt, text in known.items() if text}}
    return {} if "criteria" in plan.model_fields_set else {"criteria": known[config.prompt]}


def _check_text(option: str, value: Any) -> None:
    """Raise `BadInput` if a text in there cannot be stored or shown."""
    if isinstance(value, Mapping):
        value = [*value, *value.values()]
    if isinstance(value, list | tuple):
        for each in value:
            _check_text(option, each)
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise BadInput(
                f"Cannot start the run: {option} is no text: the bytes at its "
                f"{error.start + 1}. character are not UTF-8; type it anew, or set the "
                "terminal's encoding to UTF-8."
            ) from error
        for place, character in enumerate(value, 1):
            if category(character) == "Cc" and not character.isspace():
                raise BadInput(
                    f"Cannot start the run: {option} is no text: its {place}. character is a "
                    f"control character ({character!r}); type it anew."
                )


def _leave_out_foreign(
    plan: Plan, preset: str | None, fields: dict[str, Any], options: Mapping[str, Any], file: Path
) -> None:
    """Drop settings of other methods that only a file of format 1 sets: until then they were
    ignored."""
    said = {ENGINE_FIELDS.get(name, name) for name in (*options, *options.get("set", ()))}
    foreign = [name for name in engine.foreign_settings(preset, fields) if name not in said]
    for name in foreign:
        del fields[name]
    if foreign:
        plan.notes.append(
            f"{', '.join(foreign)} in {file} belong to other methods than this run's and are left "
            "out; a file with `format: 2` is refused instead."
        )


def read_file(path: Path) -> dict[str, Any]:
    """The options that a YAML file sets, by their names with `_`.

    Raises:
        BadInput: it cannot be read, or sets what is no option.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise BadInput(f"Cannot read {path}: {why}; name a YAML file with --config.") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        raise BadInput(
            f"Cannot read {path}: it is no YAML{line} ({getattr(error, 'problem', error)}); "
            "docs/run.example.yaml shows how it looks."
        ) from error
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        raise BadInput(
            f"Cannot read {path}: it holds no options; write lines such as `epochs: 8`, as "
            "docs/run.example.yaml does."
        )
    known = file_keys()
    options: dict[str, Any] = {}
    for key, value in content.items():
        name = " ".join(str(key).replace("-", "_").split())
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            meant = f"did you mean {near[0]}? It" if near else "it"
            raise BadInput(
                f"Cannot use {name!r} in {path}: there is no such option; {meant} may hold "
                f"{', '.join(known)}, and any other hyper-parameter under set."
            )
        if name in options:
            raise BadInput(f"Cannot use {path}: it sets {name} twice; leave one of them out.")
        if value is not None:
            options[name] = value
    return options


def file_keys() -> list[str]:
    """What a file may set. Criteria by prompt stand in `prompts`."""
    fields = Plan.model_fields.items()
    return [field.alias or name for name, field in fields if name != "criteria_by_prompt"]


def _wrong(problem: Any) -> str:
    if problem["type"] == "string_type":
        return "this should be text; put quotes round it"
    return str(problem["msg"]).removeprefix("Value error, ")


def _given(problem: Any) -> str:
    if not problem["loc"] or problem["type"] == "value_error":
        return ""
    return f" (it is {problem['input']!r})"


def _correct(sentence: str, plan: Plan, place: Any) -> str:
    """Where the fields stand that the engine complains of."""

    def complained_of(name: str) -> bool:
        return re.search(rf"(?<!\w){re.escape(name)}(, \w+)*( and \w+)?:", sentence) is not None

    places = [place(key) for key, name in ENGINE_FIELDS.items() if complained_of(name)]
    places += [place("set") for name in plan.hyper_parameters if complained_of(name)]
    return f" Correct {', '.join(dict.fromkeys(places))}." if places else ""
