"""What a conversion goes on with: a data set, or what was made before it stopped."""

from __future__ import annotations

import collections
import pathlib

from tfdicom import conversion_state, files, output_folder, shard_results
from tfdicom.conversion_state import ConversionState, InputsChanged
from tfdicom.convert_options import ConvertOptions
from tfdicom.deidentify import Pseudonyms, crosswalk_path, read_crosswalk
from tfdicom.manifest import MANIFEST
from tfdicom.preparation import Preparation


def state_before(
    output: pathlib.Path,
    aside: pathlib.Path,
    options: ConvertOptions,
    pseudonyms: Pseudonyms,
) -> ConversionState | None:
    """What was decided before: by a run that was stopped, or for the data set.

    What is aside is removed where it is of no use.

    Raises:
      ValueError: What is there cannot be gone on with, and ``overwrite`` is not asked.
    """
    unfinished = conversion_state.read_unfinished(aside)
    finished = files.exists(output / MANIFEST)
    if options.overwrite:
        if unfinished and unfinished.replaces == finished:
            try:
                conversion_state.refuse_changes(unfinished, options, pseudonyms)
            except InputsChanged:
                pass
            else:
                return unfinished
        output_folder.clear(aside)
        return None
    if unfinished and unfinished.replaces and finished:
        raise ValueError(
            f"{output} holds a data set that an unfinished conversion was to replace; "
            f"go on with --overwrite, or delete {aside} to keep the data set as it is"
        )
    before = unfinished or conversion_state.read_state(output)
    if before:
        conversion_state.refuse_changes(before, options, pseudonyms)
    elif finished:
        raise ValueError(
            f"{output} holds a data set without the folder {shard_results.CONVERSION}, "
            "so that it cannot be extended; choose another --output_dir, or replace it "
            "with --overwrite"
        )
    if not unfinished:
        output_folder.clear(aside)
    return before


def state_of(
    prepared: Preparation, withdrawn: tuple[str, ...], *, replaces: bool
) -> ConversionState:
    """What a plan decides, for later conversions.

    Args:
      prepared: The plan, and what was found.
      withdrawn: Digests of the patients who were withdrawn before.
      replaces: Whether it takes the place of a data set that is there.
    """
    plan, pseudonyms = prepared.plan, prepared.pseudonyms
    counts = collections.Counter(shard.split for shard in plan.shards)
    digest = conversion_state.input_digest
    found, held = frozenset(prepared.survey.files), prepared.survey.held
    return ConversionState(
        options=conversion_state.option_digests(prepared.options, pseudonyms),
        identity_key=pseudonyms.fingerprint,
        split_table=plan.split_table,
        buckets=plan.buckets,
        shard_counts={name: counts[name] for name in plan.split_names},
        contour_origin=prepared.rules.origin,
        contour_shift=prepared.rules.text.shift,
        classes=tuple((one.name, one.expression) for one in prepared.rules.classes),
        inputs=tuple(sorted(digest(pseudonyms, one) for one in found - held)),
        held=tuple(sorted(digest(pseudonyms, one) for one in held)),
        replaces=replaces,
        fixed_splits=tuple(plan.split_options["fixed_splits"]),
        stratified=plan.split_options["stratify"],
        withdrawn=withdrawn,
    )


def refuse_vanished(
    before: ConversionState,
    state: ConversionState,
    prepared: Preparation,
    output: pathlib.Path,
) -> None:
    """Refuses where a file, a patient or a class of the data set is gone.

    Raises:
      ValueError: Something is; names it.
    """
    crosswalk = crosswalk_path(prepared.pseudonyms, str(output.absolute()))
    names = {
        candidate[: conversion_state.DIGITS]: path
        for candidate, _, _, path in read_crosswalk(crosswalk)
    }
    conversion_state.refuse_vanished(before, state.inputs, prepared.options, names)
    if before.classes != state.classes:
        was = ";".join(f"{name}={text}" for name, text in before.classes)
        raise InputsChanged(
            f"{output} has the classes {was}, and what is in the input now would make "
            "others; give --classes to say which, with --overwrite to convert anew"
        )
    gone = sorted(set(before.split_table) - set(state.split_table))
    if gone:
        raise ValueError(
            f"{len(gone)} patients of {output} would not be converted any more, "
            f"{gone[0]} among them, though their files are there: has a table or a "
            "file that names patients changed? Convert anew with --overwrite, or take "
            "patients out with --withdraw=PATIENT"
        )
