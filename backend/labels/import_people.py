"""Who labelled what an export file holds, among the people of this Label Studio."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from backend.errors import BadInput

NOBODY = "nobody"
"""Stands for whoever made an annotation that names no person."""


@dataclass
class People:
    """The members of this Label Studio, and who of them the people of a file are."""

    emails: dict[int, str]
    everybody: str | None
    """Who all of the file's labels are by, if it was said."""
    said: dict[str, str]
    """E-mail address here, by the number or address that the file has, where it was said."""
    tried: str
    """How the sentence of an error begins."""
    ids: dict[str, int] = field(default_factory=dict)
    """Number of each member, by address."""
    seen: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, emails: Mapping[int, str], annotators: Iterable[str], tried: str) -> "People":
        """Read what was said of the file's people.

        Args:
            emails: of this Label Studio's users, by id.
            annotators: an address, for all labels of the file, or `WHO=ADDRESS` for the person that
                the file calls WHO, by number or address.

        Raises:
            BadInput: an address is of no member here, or two say who everybody is.
        """
        alone = [text.strip().lower() for text in annotators if "=" not in text]
        pairs = [text.lower().partition("=") for text in annotators if "=" in text]
        if len(alone) > 1:
            raise BadInput(
                f"{tried}: two addresses say whose all labels are; write --annotator "
                "WHO=EMAIL for each person of the file."
            )
        said = {who.strip(): email.strip() for who, _, email in pairs}
        ids = {email.lower(): number for number, email in emails.items()}
        people = cls(dict(emails), alone[0] if alone else None, said, tried, ids)
        people.unknown = {email for email in [*alone, *said.values()] if email not in ids}
        people.check()
        return people

    def who(
        self, entry: Mapping[str, Any], task: Mapping[str, Any], here: Mapping[str, Any] | None
    ) -> str:
        """The address here of the person who made an annotation of the file.

        A bare number means somebody only where the file is this Label Studio's own: where its task
        is the very task that stands here.
        """
        by = entry.get("completed_by")
        number = by.get("id") if isinstance(by, Mapping) else by
        email = str(by.get("email") or "").lower() if isinstance(by, Mapping) else ""
        own = here is not None and all(
            task.get(name) == here.get(name) for name in ("id", "project", "created_at")
        )
        if not email and own and number in self.emails:
            email = self.emails[number].lower()
        name = email or (NOBODY if number is None else str(number))
        self.seen.add(name)
        found = self.everybody or self.said.get(name) or self.said.get(str(number)) or email
        if found not in self.ids:
            self.unknown.add(name)
        return found

    def check(self) -> None:
        """See that everybody is somebody here.

        Raises:
            BadInput: names those who are not, and says what to do.
        """
        if self.everybody is not None and len(self.seen) > 1:
            raise BadInput(
                f"{self.tried}: it holds labels of {_list(self.seen)}, who cannot all be "
                f"{self.everybody}; write --annotator WHO=EMAIL for each of them."
            )
        if not self.unknown:
            return
        strangers = sorted(name for name in self.unknown if "@" in name)
        nameless = sorted(self.unknown - set(strangers))
        if nameless:
            raise BadInput(
                f"{self.tried}: it names its people by numbers ({_list(nameless)}), which mean "
                "nothing in this Label Studio; write --annotator EMAIL if one person labelled, or "
                f"--annotator {nameless[0]}=EMAIL for each."
            )
        raise BadInput(
            f"{self.tried}: this Label Studio does not know {_list(strangers)}; let them in with "
            f"`hero invite {' '.join(strangers)}`, or say with --annotator whose the labels are."
        )


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
