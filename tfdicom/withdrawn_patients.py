"""Who was withdrawn from a data set, so that nobody brings them back unasked."""

from __future__ import annotations

import pathlib
from collections.abc import Collection, Mapping

from tfdicom import conversion_state, output_folder
from tfdicom.deidentify import Pseudonyms
from tfdicom.ledger import Owner


def withdrawn_from(output: pathlib.Path) -> tuple[str, ...]:
    """Digests of the patients who were withdrawn from a data set."""
    folders = output, output / output_folder.ASIDE
    return tuple(
        sorted({one for each in folders for one in conversion_state.withdrawn_in(each)})
    )


def withdrawn_digest(pseudonyms: Pseudonyms, patient: str) -> str:
    """How the state names a patient who was withdrawn, of whom it has the pseudonym."""
    return pseudonyms.of("withdrawn", patient)


def refuse_withdrawn(
    output: pathlib.Path,
    withdrawn: Collection[str],
    pseudonyms: Pseudonyms,
    owners: Mapping[str, Owner],
    labelled: Collection[str] = (),
) -> None:
    """Refuses an input that still has files or labels of patients who were withdrawn.

    Args:
      output: The data set that they were withdrawn from.
      withdrawn: From ``withdrawn_from``.
      pseudonyms: Made with its key.
      owners: Patients of the input files, by path; not of parts of files.
      labelled: Source identifiers of the patients that a table of labels names.

    Raises:
      ValueError: There are such files, of which it names the first few, or rows.
    """
    if not withdrawn:
        return
    gone = {
        patient: withdrawn_digest(pseudonyms, patient) in withdrawn
        for patient in {patient for patient, _ in owners.values()}
    }
    found = sorted(path for path, (patient, _) in owners.items() if gone[patient])
    if found:
        more = ", ..." if len(found) > 5 else ""
        raise ValueError(
            f"{len(found)} input files are of patients who were withdrawn from "
            f"{output}: {', '.join(found[:5])}{more}. Take them out of the input "
            "folder; or convert to another --output_dir, if the patients may come back"
        )
    rows = sum(
        withdrawn_digest(pseudonyms, pseudonyms.of("patient", one)) in withdrawn
        for one in labelled
    )
    if rows:
        raise ValueError(
            f"labels: the table still has {rows} of the patients who were withdrawn "
            f"from {output}; take their rows out of it"
        )
