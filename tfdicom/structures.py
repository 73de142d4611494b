"""Which structures of the annotations the classes mean, and which they do not.

Objects name their ROIs and segments freely; ``--classes`` names structures by terms.
Binding one to the other happens here, once, and is reported: names that no term
matched, names that two matched, terms that matched nothing.
"""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tfdicom.classes import SegmentationClass, structures_of, term_matches
from tfdicom.sources.annotation_objects import AnnotatedItem, AnnotationObject
from tfdicom.sources.candidates import Annotation

_SHOWN = 50


@dataclasses.dataclass(frozen=True)
class StructureNames:
    """Names found, with the number of files or objects that have each.

    Attributes:
      found: How often each structure is found, by its first name.
      terms: The terms that matched it; none for a name that no class uses.
    """

    found: Mapping[str, int]
    terms: Mapping[str, tuple[str, ...]]

    @property
    def unused(self) -> tuple[str, ...]:
        """Names that no term matched."""
        return tuple(name for name in self.found if not self.terms[name])

    @property
    def doubly_used(self) -> tuple[str, ...]:
        """Names that two terms matched."""
        return tuple(name for name in self.found if len(self.terms[name]) > 1)

    def lines(self) -> Iterator[str]:
        """For the terminal: what became of each name."""
        used = [name for name in self.found if self.terms[name]]
        for name in used[:_SHOWN]:
            terms = ", ".join(self.terms[name])
            yield f"  {name!r} ({self.found[name]}) -> {terms}"
        if len(used) > _SHOWN:
            yield f"  and {len(used) - _SHOWN} more names that classes use"
        if self.doubly_used:
            yield f"  matched by two terms: {_listed(self.doubly_used)}"
        if self.unused:
            yield f"  matched by none: {_listed(self.unused)}"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_SHOWN])
    more = len(names) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def terms_of(names: Iterable[str], terms: Iterable[str]) -> tuple[str, ...]:
    """The terms that mean a structure with these names."""
    names = tuple(names)
    return tuple(term for term in terms if term_matches(term, names))


def structure_names(
    drawn: Iterable[Annotation],
    objects: Iterable[AnnotationObject],
    terms: Sequence[str],
) -> StructureNames:
    """Counts the structures that files and objects hold, and what matches them."""
    counts: collections.Counter[tuple[str, ...]] = collections.Counter()
    counts.update((one.structure,) for one in drawn)
    counts.update(item.names for each in objects for item in each.items)
    # Those that draw nothing have names too; the ledger says why they draw nothing.
    counts.update(one.names for each in objects for one in each.left if one.names)
    found: dict[str, int] = collections.defaultdict(int)
    matched: dict[str, tuple[str, ...]] = {}
    for names, count in sorted(counts.items()):
        found[names[0]] += count
        more = terms_of(names, terms)
        matched[names[0]] = tuple(dict.fromkeys((*matched.get(names[0], ()), *more)))
    return StructureNames(dict(found), matched)


def check_terms(classes: Sequence[SegmentationClass], names: StructureNames) -> None:
    """Refuses classes that use a structure that is nowhere.

    Raises:
      ValueError: A term matches no name; the names that were found are listed.
    """
    matched = {term for terms in names.terms.values() for term in terms}
    for term in structures_of(classes):
        if term not in matched:
            wanted = ";".join(f"{one.name}={one.expression}" for one in classes)
            raise ValueError(
                f"classes={wanted!r} wants the structure {term!r}; the contours and "
                f"objects outline {_listed(tuple(names.found)) or 'nothing'}"
            )


def suggestion(names: StructureNames) -> str:
    """A ``--classes`` flag that would take what was found, one class for each name."""
    parts: list[str] = []
    taken: set[str] = set()
    found = list(names.found)
    if "mask" in found:  # which is what the values of masks are together
        found = [name for name in found if not name.startswith("#")]
    for number, name in enumerate(found[:_SHOWN], 1):
        letters = re.sub("[^a-z0-9]+", "_", name.lower()).strip("_")
        if not letters[:1].isalpha() or letters in taken:
            letters = f"class{number}_{letters}".rstrip("_")
        taken.add(letters)
        plain = letters == name.lower()
        parts.append(letters if plain else f"{letters}=/{_escaped(name)}/")
    quoted = ";".join(parts).replace("'", "'\"'\"'")  # as a shell wants it
    return f"--classes='{quoted}'"


def _escaped(name: str) -> str:
    return "".join(f"\\{one}" if one in r".^$*+?{}[]\|()/" else one for one in name)


def items_used(
    described: AnnotationObject, terms: Sequence[str]
) -> dict[int, tuple[str, ...]]:
    """Terms by the number of each item that classes use."""
    used = {one.number: terms_of(one.names, terms) for one in described.items}
    return {number: found for number, found in used.items() if found}


def items_unused(
    described: AnnotationObject, terms: Sequence[str]
) -> tuple[AnnotatedItem, ...]:
    """Items that no class uses."""
    return tuple(one for one in described.items if not terms_of(one.names, terms))
