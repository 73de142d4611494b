"""tfdicom_convert: DICOM images and annotations in, TFRecord files out.

  tfdicom_convert --flagfile=configs/sunnybrook.flags --input_dir=IN --output_dir=OUT

Finds the images and the annotations below --input_dir and pairs them, makes the masks,
splits by patient, and writes a data set that tfdicom.input_fn() reads. Every file that
was found is listed in OUT/ledger.jsonl with what became of it. --dry_run shows what
would be done.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done but some inputs were skipped.
"""

from __future__ import annotations

from tfdicom import interrupts

if __name__ == "__main__":  # before all that takes its time to import
    interrupts.end_at_once(resumes=True)

import contextlib
from collections.abc import Sequence

from tfdicom import command, command_line, options
from tfdicom.convert_options import ConvertOptions
from tfdicom.manifest import SKIPPED

options.define_flags(ConvertOptions, module_name="tfdicom.convert_main")


def main(arguments: Sequence[str]) -> int:
    """Converts as the flags say; returns the exit code."""
    if arguments:
        raise command.UsageError(f"unexpected argument {arguments[0]!r}")
    try:
        chosen = options.from_flags(ConvertOptions)
    except ValueError as error:
        raise command.UsageError(str(error)) from error
    if chosen.withdraw is not None:
        return _withdraw(chosen)
    if not chosen.input_dir or not (chosen.output_dir or chosen.dry_run):
        raise command.UsageError("both --input_dir and --output_dir are wanted")

    from tfdicom import conversion  # --help should not wait for pydicom

    result = conversion.convert(options=chosen)
    print(conversion.conversion_summary(result, chosen))
    skipped = any(counts.get(SKIPPED) for counts in result.ledger.counts().values())
    return command.DONE_WITH_SKIPS if skipped else command.DONE


def _withdraw(chosen: ConvertOptions) -> int:
    """Takes a patient out of the data set."""
    if not chosen.output_dir:
        raise command.UsageError("--withdraw wants --output_dir")

    from tfdicom import withdrawal
    from tfdicom.preparation import identity_of

    print(withdrawal.withdraw(chosen, identity_of(chosen)))
    return command.DONE


def output(arguments: Sequence[str]) -> contextlib.AbstractContextManager:
    """What changes all that is printed, where ``--redact_logs`` asks for it."""
    arguments = command_line.with_flagfiles(arguments)
    if not command_line.is_asked("redact_logs", arguments):
        return contextlib.nullcontext()
    from tfdicom.redaction import redacted_output

    return redacted_output(arguments)


def run() -> None:
    """Entry point of the console script."""
    command.run(main, resumes=True, output=output)


if __name__ == "__main__":
    run()
