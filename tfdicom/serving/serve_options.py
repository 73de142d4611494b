"""What ``tfdicom_serve`` can be told; the flags are made from it."""

from __future__ import annotations

import dataclasses
import ipaddress
import re

from tfdicom import options

#: A path prefix: segments of unreserved characters, none of dots alone.
PREFIX = re.compile(r"(/(?!\.+(/|$))[A-Za-z0-9._~-]+)*")
#: A token that is shorter could be guessed.
SHORTEST_TOKEN = 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """How data sets are served. ``token`` is no flag: the process list shows flags."""

    data_dir: str | None = options.option(
        None,
        "Folder of the data set, or several, separated by commas; each is called by "
        "its folder's name. Not given: TFDICOM_DATA_DIR.",
    )
    host: str = options.option(
        "127.0.0.1",
        "Address to listen on; any other than this machine's own wants a token.",
    )
    port: int | None = options.option(
        None,
        "TCP port to listen on; 0 takes one that is free. Not given: PORT, or 8080.",
        kind=int,
        lower=0,
        upper=65535,
    )
    workers: int = options.option(
        2, "Processes that answer.", kind=int, lower=1, upper=256
    )
    threads: int = options.option(
        8, "Requests that a process answers at once.", kind=int, lower=1, upper=256
    )
    token_file: str | None = options.option(
        None,
        "File that holds the token that clients show; at least 16 characters. Not "
        "given: TFDICOM_TOKEN, or none.",
    )
    allowed_hosts: str = options.option(
        "",
        "Further names, separated by commas, that the header Host may have where no "
        "token is wanted; else it names this machine: localhost, 127.0.0.1, [::1].",
    )
    url_prefix: str = options.option(
        "", "Path below which a proxy shows the server, as '/tfdicom'."
    )
    max_batch_size: int = options.option(
        256, "Examples in a batch, at most.", kind=int, lower=1
    )
    max_batch_pixels: int = options.option(
        2**25,
        "Numbers in a batch, at most: of the images and of the masks together.",
        kind=int,
        lower=1,
    )
    max_memory_mb: int = options.option(
        1536,
        "Memory of a process, MiB, past which a new one takes its place, once it has "
        "made batches of more than one configuration: TensorFlow never gives back what "
        "it compiled. What was asked is answered first.",
        kind=int,
        lower=256,
    )
    max_batches_at_once: int = options.option(
        4,
        "Batches that a process makes at once; further requests wait, then get 503.",
        kind=int,
        lower=1,
    )
    queue_seconds: float = options.option(
        2.0, "How long a request waits for its turn.", kind=float, lower=0, upper=600
    )
    request_timeout: float = options.option(
        60.0,
        "Seconds after which a connection is closed whose client takes nothing of its "
        "answer; at once where such clients hold half of the threads.",
        kind=float,
        lower=1,
        upper=3600,
    )
    max_requests_per_second: float = options.option(
        0.0,
        "Requests of one client that each process answers, on average; further ones "
        "get 429. 0: any number.",
        kind=float,
        lower=0,
    )
    warm_up: bool = options.option(
        False,
        "Load TensorFlow and make a batch at the start of each process, beside the "
        "answers, so that the first one that is asked for does not take long.",
        kind=bool,
    )
    token: str | None = dataclasses.field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Checks every field.

        Raises:
          ValueError: Names the option, the value got and what is allowed.
        """
        options.check(self)
        if not PREFIX.fullmatch(self.url_prefix):
            raise ValueError(
                f"url_prefix={self.url_prefix!r}: a path as '/tfdicom' is wanted, "
                "without a slash at its end"
            )
        if self.token is not None and not is_token(self.token):
            raise ValueError(
                f"the token has {len(self.token)} characters: at least "
                f"{SHORTEST_TOKEN} visible ASCII ones are wanted. One can be made "
                "with: openssl rand -hex 32"
            )

    @property
    def host_names(self) -> tuple[str, ...]:
        """The further names that ``Host`` may have, in small letters."""
        parts = (part.strip().lower() for part in self.allowed_hosts.split(","))
        return tuple(filter(None, parts))

    @property
    def data_dirs(self) -> tuple[str, ...]:
        """Folders of the data sets.

        Raises:
          ValueError: None is named.
        """
        parts = (part.strip() for part in (self.data_dir or "").split(","))
        found = tuple(part for part in parts if part)
        if not found:
            raise ValueError("name a data set: --data_dir=FOLDER or TFDICOM_DATA_DIR")
        return found


def is_own_host(name: str) -> bool:
    """Whether a name or address is this machine's own."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def is_token(text: str) -> bool:
    """Whether a text can be a token: long enough, and fit for a header."""
    return re.fullmatch(r"[\x21-\x7e]+", text) is not None and (
        len(text) >= SHORTEST_TOKEN
    )
