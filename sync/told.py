"""What people are told: sentences without a language, with their facts."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ENDS = (".", "!", "?", ";", "。", "！", "？", "；")  # what a sentence ends with


@dataclass(frozen=True, slots=True, init=False)
class Told:
    """What people are told: a sentence, how to mend it, and the facts of both.

    `template` and `hint` are English and the keys of their translations: mark them by `N_`. Facts
    are plain JSON values or told themselves; anything else becomes its text. What is told has no
    language until somebody reads it; `str` is English.
    """

    template: str
    hint: str
    facts: Mapping[str, Any] = field(hash=False)

    def __init__(self, template: str, /, *, hint: str = "", **facts: object) -> None:
        plain = {
            name: fact if isinstance(fact, str | int | float | Told) else str(fact)
            for name, fact in facts.items()
        }
        for name, value in (("template", template), ("hint", hint), ("facts", plain)):
            object.__setattr__(self, name, value)

    def sentence(self, gettext: Callable[[str], str] = str) -> str:
        """What is the case; `gettext` translates."""
        facts = self._facts(gettext)
        # A word of ours; in a hint it is the name of a section of the settings.
        if role := facts.get("role"):
            facts["role"] = gettext(role)
        return gettext(self.template).format_map(facts)

    def advice(self, gettext: Callable[[str], str] = str) -> str:
        """How to mend it; may be empty."""
        return gettext(self.hint).format_map(self._facts(gettext)) if self.hint else ""

    def words(self, gettext: Callable[[str], str] = str) -> str:
        """Both, one after the other."""
        sentence, hint = self.sentence(gettext), self.advice(gettext)
        if not hint:
            return sentence
        # A reason in a database's own words ends without a full stop.
        ended = sentence.endswith(ENDS)
        both = gettext("{sentence} {hint}") if ended else gettext("{sentence}. {hint}")
        return both.format(sentence=sentence, hint=hint)

    def __str__(self) -> str:
        return self.words()

    def _facts(self, gettext: Callable[[str], str]) -> dict[str, Any]:
        facts = {
            name: fact.words(gettext) if isinstance(fact, Told) else fact
            for name, fact in self.facts.items()
        }
        # A fact that is missing must not hide the sentence behind an error of ours.
        return defaultdict(lambda: "?", facts)

    def to_json(self) -> dict[str, Any]:
        """As plain values, fit for `json.dumps`."""
        facts = {
            name: fact.to_json() if isinstance(fact, Told) else fact
            for name, fact in self.facts.items()
        }
        return {"template": self.template, "hint": self.hint, "facts": facts}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        """What `to_json` wrote. Raises KeyError where a part is missing."""
        facts = {
            name: cls.from_json(fact) if isinstance(fact, dict) else fact
            for name, fact in told["facts"].items()
        }
        return cls(told["template"], hint=told["hint"], **facts)
