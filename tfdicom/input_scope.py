"""Which part of an input folder is looked at, where a data set is only mended."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from tfdicom import conversion_state
from tfdicom.conversion_state import ConversionState
from tfdicom.deidentify import Pseudonyms


@dataclasses.dataclass(frozen=True)
class InputScope:
    """Files and patients that a data set is made of; whatever else is there is not.

    Attributes:
      state: Of the data set, which knows its files.
      pseudonyms: Made with its key.
      patients: Pseudonyms of those who are planned; None for all.
    """

    state: ConversionState
    pseudonyms: Pseudonyms
    patients: Collection[str] | None = None

    def files(self, paths: Collection[str]) -> list[str]:
        """Those of the files that the data set knows."""
        known = {*self.state.inputs, *self.state.held}
        digest = conversion_state.input_digest
        return [path for path in paths if digest(self.pseudonyms, path) in known]

    def has(self, source_patient: str) -> bool:
        """Whether a patient, by the source's identifier, is planned."""
        if self.patients is None:
            return True
        return self.pseudonyms.of("patient", source_patient) in self.patients
