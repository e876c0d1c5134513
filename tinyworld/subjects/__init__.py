"""The world's subjects, one module each; a new module here is a new subject."""

import importlib
import pkgutil
from functools import cache

from tinyworld.subject import Subject


@cache
def subjects() -> dict[str, Subject]:
    """Name -> subject, for every module of this package, in the order of their names."""
    found = [
        importlib.import_module(f"{__name__}.{module.name}").SUBJECT
        for module in pkgutil.iter_modules(__path__)
    ]
    return {subject.name: subject for subject in sorted(found, key=lambda subject: subject.name)}
