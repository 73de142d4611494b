"""Where the commands begin; what a command needs is imported when Ctrl-C is handled."""

from __future__ import annotations

from tfdicom import interrupts


def convert() -> None:
    """``tfdicom_convert``."""
    interrupts.end_at_once(resumes=True)
    from tfdicom import convert_main

    convert_main.run()


def inspect() -> None:
    """``tfdicom_inspect``."""
    interrupts.end_at_once()
    from tfdicom import inspect_main

    inspect_main.run()


def serve() -> None:
    """``tfdicom_serve``."""
    interrupts.end_at_once()
    from tfdicom import serve_main

    serve_main.run()


def data_service() -> None:
    """``tfdicom_data_service``."""
    interrupts.end_at_once()
    from tfdicom import data_service_main

    data_service_main.run()
