"""What of a patient may go into records, and what PS3.15 Annex E calls that."""

from __future__ import annotations

import dataclasses

AGE_BAND, SEX, WEIGHT = "age_band", "sex", "weight"
#: Patient characteristics that may be kept.
CHARACTERISTICS = (AGE_BAND, SEX, WEIGHT)
#: What becomes of dates.
DROP, SHIFT = "drop", "shift"

# PS3.16 CID 7050, De-identification Method.
_BASIC = "113100 Basic Application Confidentiality Profile"
_MODIFIED_DATES = (
    "113107 Retain Longitudinal Temporal Information Modified Dates Option"
)
_CHARACTERISTICS = "113108 Retain Patient Characteristics Option"
#: All that ``applied_options`` may name.
APPLIED_OPTIONS = (_BASIC, _MODIFIED_DATES, _CHARACTERISTICS)

#: What a user is told who keeps identifiers.
IDENTIFIERS_KEPT = (
    "--keep_identifiers: every record names its patient, study, series and instance as "
    "the images do. Treat the data set as you treat the images."
)
#: Value of the manifest's option ``identifiers`` for such a data set.
KEPT = "kept"


@dataclasses.dataclass(frozen=True)
class FactRules:
    """What of a patient goes into records; by default nothing.

    Attributes:
      dates: ``drop`` or ``shift``.
      keep: Some of ``CHARACTERISTICS``.
      identifiers: Whether the source's own identifiers are kept.
    """

    dates: str = DROP
    keep: tuple[str, ...] = ()
    identifiers: bool = False


def parse_keep(value: str) -> tuple[str, ...]:
    """The characteristics that ``--keep=age_band,sex`` names, in a fixed order.

    Raises:
      ValueError: A word is unknown.
    """
    words = {word.strip() for word in value.split(",") if word.strip()}
    unknown = sorted(words.difference(CHARACTERISTICS))
    if unknown:
        known = ", ".join(CHARACTERISTICS)
        raise ValueError(f"keep: {unknown[0]!r} is none of {known}")
    return tuple(word for word in CHARACTERISTICS if word in words)


def applied_options(rules: FactRules) -> list[str]:
    """Code and meaning of the profile and its options that records keep to.

    No option is claimed for pixels: nothing is removed from them. Where identifiers are
    kept, no profile is kept to.
    """
    if rules.identifiers:
        return []
    found = [_BASIC]
    found += [_MODIFIED_DATES] if rules.dates == SHIFT else []
    found += [_CHARACTERISTICS] if rules.keep else []
    return found
