"""Where a model's files are: a folder, the hub's local cache, or a single file and a folder with
what such a file leaves out."""

import contextlib
import importlib
import inspect
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hero_engine.errors import ModelNotFound, UnsupportedModel
from hero_engine.models import hub
from hero_engine.models.hub import first_line
from hero_engine.models.names import resolve
from hero_engine.models.single_file import configuration_of, needs_configuration
from hero_engine.models.weights import PICKLED, SAFETENSORS, Weights, choose_weights

INDEX, SCHEDULER = "model_index.json", "scheduler/scheduler_config.json"
Configs = Callable[[str], Mapping[str, Any]]
"""(path in the model's folder) -> the JSON there: what can be known of a model without weights."""
LIBRARIES = ("diffusers", "transformers")
"""What a pipeline's parts may be of."""
LEFT_OUT = ("safety_checker", "feature_extractor", "image_encoder")
"""Parts that no family needs."""
_NO_NETWORK = ("Scheduler", "Tokenizer", "TokenizerFast", "Processor", "Extractor")
"""How the classes of parts end that have no weights."""


@dataclass(frozen=True)
class ModelFiles:
    """The files of a pipeline; nothing is loaded, and of the hub only what is asked for."""

    name: str
    folder: Path
    """With the configurations and, unless they are in a single file, the weights."""
    single: Path | None = None
    """The weights in one file, by the names of the authors' own code."""
    hub: tuple[str, str | None] | None = None
    """Id and revision, for what is not in the cache yet."""

    def json(self, path: str) -> Mapping[str, Any]:
        """The JSON object at a path in the pipeline's folder. Raises `ModelNotFound`."""
        try:
            read = json.loads(self.path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise self._unreadable(path, first_line(error)) from error
        if not isinstance(read, dict):
            raise self._unreadable(path, "it is no JSON object")
        return read if path != SCHEDULER else {**read, **self._scheduler_class()}

    def _scheduler_class(self) -> dict[str, Any]:
        """The scheduler's class is what the index says: diffusers goes by that, whatever class
        wrote the configuration."""
        index = self.json(INDEX)
        return {"_class_name": index["scheduler"][1]} if names_part(index, "scheduler") else {}

    def path(self, path: str) -> Path:
        """A file of the pipeline's folder, downloaded if need be. Raises `ModelNotFound`."""
        file = self.folder / path
        if not file.is_file() and self.hub is not None:
            file = hub.download(*self.hub, [path]) / path
        if not file.is_file():
            raise self._no_such(path)
        return file

    def parts(self, left_out: Collection[str]) -> dict[str, Any]:
        """The classes of the pipeline's parts that are networks, by their names.

        Raises `UnsupportedModel` for those that bring code of their own.
        """
        return {
            name: _class(self.name, name, library, kind)
            for name, (library, kind) in self.networks(left_out).items()
        }

    def networks(self, left_out: Collection[str]) -> dict[str, tuple[str, str]]:
        """Library and class of the pipeline's parts that are networks, by their names."""
        parts = {name: of for name, of in self.json(INDEX).items() if _is_part(of)}
        return {
            name: (str(library), str(kind))
            for name, (library, kind) in parts.items()
            if name not in left_out and not str(kind).endswith(_NO_NETWORK)
        }

    def tokenizers(self) -> list[str]:
        """The names of the pipeline's parts that are tokenizers."""
        return [
            name
            for name, of in self.json(INDEX).items()
            if _is_part(of) and str(of[1]).endswith(("Tokenizer", "TokenizerFast"))
        ]

    def tokenizer(self, folder: str) -> Path:
        """The folder of a tokenizer, downloaded if need be. Raises `ModelNotFound`."""
        there = self.folder / folder
        if self.hub is not None and not any(there.glob("*")):
            names = [name for name in hub.sizes(*self.hub) if name.startswith(f"{folder}/")]
            there = hub.download(*self.hub, names) / folder
        if not any(there.glob("*")):
            raise self._no_such(f"{folder}/")
        return there

    def weights(self, part: str) -> Weights | None:
        """The weights of a part on this machine; None if there are none."""
        folder = self.folder / part
        if not folder.is_dir():
            return None
        return choose_weights([each.name for each in folder.iterdir()])

    def to_download(self, left_out: Collection[str]) -> dict[str, int]:
        """What of the hub's files is still missing here, and the bytes of each."""
        if self.hub is None or self.single is not None:
            return {}
        parts = self.parts(left_out)
        if all(self._complete(part) for part in parts):
            return {}
        there = hub.sizes(*self.hub)
        wanted = [name for name in there if self._wanted(name, left_out)]
        for part in parts:
            inside = [n.removeprefix(f"{part}/") for n in there if n.startswith(f"{part}/")]
            chosen = choose_weights(inside)
            if chosen is None:
                raise self._no_such(f"weights in {part}/")
            wanted += [f"{part}/{name}" for name in (*chosen.files, chosen.index) if name]
        wanted = list(dict.fromkeys(wanted))
        return {name: there[name] for name in wanted if not (self.folder / name).is_file()}

    def here(self, left_out: Collection[str]) -> "ModelFiles":
        """The same with nothing left on the hub. Raises `ModelNotFound`."""
        missing = self.to_download(left_out)
        if not missing or self.hub is None:
            return self
        folder = hub.download(*self.hub, list(missing))
        return ModelFiles(self.name, folder, hub=self.hub)

    def load(
        self,
        pipeline_class: Any,
        left_out: Collection[str],
        options: Mapping[str, Any],
        precision: Mapping[str, Any],
    ) -> Any:
        """The pipeline; pickled weights only if they hold nothing but tensors.

        `precision` is the kind of numbers that a part's weights are loaded as, by its name, and
        that of the others as `default`.
        """
        index, known = self.json(INDEX), inspect.signature(pipeline_class.__init__).parameters
        needed = [name for name, each in known.items() if each.default is each.empty]
        absent = [name for name in needed[1:] if not names_part(index, name)]
        without: dict[str, Any] = {name: None for name in (*left_out, *absent) if name in known}
        if self.single is not None:
            return self._load_single(pipeline_class, left_out, {**without, **options}, precision)
        chosen = [self.weights(part) for part in self.parts(left_out)]
        pickled = any(each is not None and each.suffix == PICKLED for each in chosen)
        variants = {each.variant for each in chosen if each is not None and each.variant}
        pipe = pipeline_class.from_pretrained(
            str(self.folder),
            dtype=dict(precision),
            variant=min(variants, default=None),
            use_safetensors=None if pickled else True,
            local_files_only=True,
            **without,
            **options,
        )
        return pipe

    def _load_single(
        self,
        pipeline_class: Any,
        left_out: Collection[str],
        options: Mapping[str, Any],
        precision: Mapping[str, Any],
    ) -> Any:
        """The pipeline in a single file; its VAE apart, since diffusers takes one kind for all."""
        from diffusers import AutoencoderKL

        file, folder = str(self.single), str(self._configurations(left_out))
        vae = AutoencoderKL.from_single_file(
            file,
            config=folder,
            subfolder="vae",
            torch_dtype=precision["vae"],
            local_files_only=True,
        )
        return pipeline_class.from_single_file(
            file,
            config=folder,
            vae=vae,
            torch_dtype=precision["default"],
            local_files_only=True,
            **options,
        )

    def _configurations(self, left_out: Collection[str]) -> Path:
        """The folder with all that a single file leaves out, downloaded if need be."""
        index = self.json(INDEX)
        parts = [name for name in index if name not in left_out and _is_part(index[name])]
        if self.hub is None or all(any((self.folder / part).glob("*.json")) for part in parts):
            return self.folder
        there = [name for name in hub.sizes(*self.hub) if self._wanted(name, left_out)]
        return hub.download(*self.hub, there)

    def _complete(self, part: str) -> bool:
        weights = self.weights(part)
        if weights is None:
            return False
        if weights.index is None:
            return True
        named = self.json(f"{part}/{weights.index}").get("weight_map", {})
        return {each for each in named.values()} <= set(weights.files)

    def _wanted(self, name: str, left_out: Collection[str]) -> bool:
        """Whether a file belongs to the pipeline, and is none of its weights."""
        part, separator, _ = name.partition("/")
        belongs = name == INDEX or (bool(separator) and part in self.json(INDEX))
        weights = name.endswith(
            (SAFETENSORS, PICKLED, ".index.json", ".msgpack", ".onnx", ".onnx_data")
        )
        return belongs and part not in left_out and not weights and ".index." not in name

    def _unreadable(self, path: str, why: str) -> ModelNotFound:
        return ModelNotFound(
            f"The {path} of {self.name!r} cannot be read ({why}); download the pipeline again."
        )

    def _no_such(self, path: str) -> ModelNotFound:
        if path == INDEX:
            return not_a_pipeline(self.name, self.folder)
        return ModelNotFound(
            f"The model {self.name!r} is not complete: it has no {path}; download it again, or "
            "write it again with save_pretrained()."
        )


def _class(model: str, name: str, library: str, kind: str) -> Any:
    found = getattr(importlib.import_module(library), kind, None) if library in LIBRARIES else None
    if found is None:
        raise foreign_code(model, name, library, kind)
    return found


def foreign_code(model: str, name: str, library: str, kind: str) -> UnsupportedModel:
    """That a part's class is not at hand."""
    return UnsupportedModel(
        f"The {name} of {model!r} is a {kind} of {library}, which is not installed here or is "
        "code that the model brings; choose a model of diffusers' own parts."
    )


def _is_part(of: Any) -> bool:
    """Whether a value of a model_index.json is a part's library and class."""
    return isinstance(of, list) and len(of) == 2 and bool(of[0])


def names_part(index: Mapping[str, Any], name: str) -> bool:
    """Whether a model_index.json has a part of that name: `null` or `[null, null]` is none."""
    return bool((index.get(name) or [None])[0])


def locate(
    model: str, revision: str | None = None, pipeline_config: str | None = None
) -> ModelFiles:
    """Where the files of a model are. Raises `ModelNotFound`, `UnsupportedModel`."""
    model = resolve(model)
    path = Path(model).expanduser()
    if path.is_dir():
        return ModelFiles(model, path)
    if path.is_file():
        usual = configuration_of(path)
        of = pipeline_config or usual
        try:
            base = locate(of)
        except ModelNotFound as error:
            raise needs_configuration(path, of, error) from error
        return ModelFiles(model, base.folder, single=path, hub=base.hub)
    if path.is_absolute() or model.startswith((".", "~")) or model.count("/") != 1:
        raise ModelNotFound(
            f"There is no folder {model!r}; give the path of a diffusers pipeline or a hub id such "
            "as stable-diffusion-v1-5/stable-diffusion-v1-5."
        )
    folder = hub.cached(model, revision, INDEX)
    if folder is None:
        hub.sizes(model, revision)
        folder = hub.download(model, revision, [INDEX])
    return ModelFiles(model, folder, hub=(model, revision))


def not_a_pipeline(name: str, folder: Path) -> ModelNotFound:
    """What a folder without a model_index.json is, and what to do."""
    names = {each.name for each in folder.iterdir()} if folder.is_dir() else set()
    if names & {"pytorch_lora_weights.safetensors", "adapter_config.json"}:
        return ModelNotFound(
            f"The folder {name!r} is a LoRA, which is no model of its own: give the model that it "
            "was trained on."
        )
    if "config.json" in names:
        with_class = ""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            with_class = json.loads((folder / "config.json").read_text()).get("_class_name", "")
        if with_class:
            return ModelNotFound(
                f"The folder {name!r} is a {with_class}, one part of a pipeline; give the folder "
                "of the whole pipeline, which has a model_index.json."
            )
    return ModelNotFound(
        f"The folder {name!r} is no diffusers pipeline: it has no model_index.json; give a folder "
        "written by save_pretrained(), or a single .safetensors file with a whole model."
    )
