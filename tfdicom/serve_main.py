"""tfdicom_serve: a data set over HTTP, to look at and to train from.

  tfdicom_serve --data_dir=D [--port=8080]
      Pages for a browser at http://127.0.0.1:8080/, batches at /v1/batch; all routes:
      /openapi.json.
  tfdicom_serve --data_dir=D --host=0.0.0.0 --token_file=FILE
      For other machines, which then have to show the token that the file holds.

Platforms say by environment what is not given: TFDICOM_DATA_DIR, PORT, TFDICOM_TOKEN,
TFDICOM_URL_PREFIX. It runs until it gets SIGTERM or SIGINT, and then answers what was
asked before it ends.

Exit codes: 0 ended by a signal, 1 failed, 2 wrong usage.
"""

from __future__ import annotations

from tfdicom import interrupts

if __name__ == "__main__":  # before all that takes its time to import
    interrupts.end_at_once()

import os
from collections.abc import Mapping, Sequence

from absl import flags

from tfdicom import command, files, options
from tfdicom.serving.serve_options import ServeOptions, is_own_host

_DEFAULT_PORT = 8080

options.define_flags(ServeOptions, module_name="tfdicom.serve_main")


def options_from(values: flags.FlagValues, environ: Mapping[str, str]) -> ServeOptions:
    """The options, from flags, and from the environment where these are not given.

    Raises:
      ValueError: A value is not allowed, or the token file cannot be read.
    """
    prefix = values["url_prefix"].value or environ.get("TFDICOM_URL_PREFIX", "")
    return options.from_flags(
        ServeOptions,
        flag_values=values,
        data_dir=values["data_dir"].value or environ.get("TFDICOM_DATA_DIR"),
        port=_port(values["port"].value, environ),
        url_prefix=prefix.rstrip("/"),
        token=_token(values["token_file"].value, environ),
    )


def _port(given: int | None, environ: Mapping[str, str]) -> int:
    text = environ.get("PORT", "")
    if given is not None or not text:
        return _DEFAULT_PORT if given is None else given
    if not text.isdecimal():
        raise ValueError(f"PORT={text!r}: a number is wanted")
    return int(text)


def _token(file: str | None, environ: Mapping[str, str]) -> str | None:
    if file is None:
        return environ.get("TFDICOM_TOKEN", "").strip() or None
    token = files.read_text(files.path_of(file), flag="--token_file").strip()
    if not token:
        raise ValueError(f"--token_file: {file} is empty")
    return token


def check_open(asked: ServeOptions) -> None:
    """Refuses to serve other machines without a token.

    Raises:
      UsageError: The address is not this machine's own, and there is no token.
    """
    if asked.token is None and not is_own_host(asked.host):
        raise command.UsageError(
            f"--host={asked.host} lets other machines ask, so a token is wanted: "
            "--token_file=FILE or TFDICOM_TOKEN (openssl rand -hex 32 makes one)"
        )


def main(arguments: Sequence[str]) -> int:
    """Serves until a signal ends it; returns the exit code."""
    if arguments:
        raise command.UsageError(f"{' '.join(arguments)!r}: there are flags only")
    try:
        asked = options_from(flags.FLAGS, os.environ)
        _ = asked.data_dirs
    except ValueError as error:
        raise command.UsageError(str(error)) from error
    check_open(asked)
    try:
        from tfdicom.serving import server
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{error.name} is not installed: pip install 'tfdicom[serve]'"
        ) from error
    server.serve(asked)
    return command.DONE


def run() -> None:
    """Entry point of the console script."""
    command.run(main)


if __name__ == "__main__":
    run()
