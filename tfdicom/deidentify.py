"""What is kept of a patient's identity: keyed hashes, and a crosswalk beside the key.

Identifiers become HMAC-SHA-256 pseudonyms (PS3.15 Annex E calls this pseudonymisation):
the same key gives the same pseudonyms, and without the key nobody can link or test a
guess. The key file and the crosswalk never lie in the data set.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import hmac
import io
import os
import pathlib
import re
import secrets
import stat
from collections.abc import Iterable, Iterator

PUBLIC = "public"
#: Header of a crosswalk.
CROSSWALK_COLUMNS = ("candidate", "patient", "source_patient", "source_path")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")  # also s3:/x, as a path has it
_PUBLIC_KEY = hashlib.sha256(b"tfdicom: the published key for public data").digest()


@dataclasses.dataclass(frozen=True)
class Pseudonyms:
    """Makes pseudonyms with one key. ``path`` is the key's file, None if public."""

    key: bytes = dataclasses.field(repr=False)
    path: pathlib.Path | None = None

    def of(self, kind: str, *parts: str) -> str:
        """32 hexadecimal digits for an identifier of a kind (``patient``, ...)."""
        # Names of files need not be UTF-8; Python keeps such bytes as surrogates.
        message = "\0".join((kind, *parts)).encode(errors="surrogateescape")
        return hmac.digest(self.key, message, "sha256").hex()[:32]

    @property
    def fingerprint(self) -> str:
        """Equal for equal keys, so that pseudonyms can be compared; 16 digits."""
        return self.of("fingerprint of the key")[:16]


def key_path(id_key_file: str | None) -> pathlib.Path | None:
    """Where the key lies or will lie; None for the published one.

    Raises:
      ValueError: It has a scheme: key and crosswalk lie on this machine alone.
    """
    if id_key_file == PUBLIC:
        return None
    if id_key_file and _SCHEME.match(id_key_file):
        raise ValueError(
            f"id_key_file={id_key_file!r}: the key and the crosswalk, with which "
            "patients can be found again, stay on this machine (mode 0600); name a "
            "local path, without a scheme"
        )
    path = pathlib.Path(id_key_file) if id_key_file else _default_path()
    return path.expanduser().absolute()


def load_pseudonyms(id_key_file: str | None) -> tuple[Pseudonyms, bool]:
    """Reads the key, or makes one on first use.

    Args:
      id_key_file: A path, ``public`` for the published key, or None for
        ``tfdicom/id.key`` in the user's configuration folder.

    Returns:
      The pseudonyms, and whether the key was made just now.

    Raises:
      ValueError: The file holds no key, or others than its owner may read it.
    """
    path = key_path(id_key_file)
    if path is None:
        return Pseudonyms(_PUBLIC_KEY), False
    made = not path.exists()
    if made:
        _make_key(path)
    _refuse_shared(path)
    try:
        key = bytes.fromhex(path.read_text().strip())
    except ValueError:
        key = b""
    if len(key) < 16:
        raise ValueError(
            f"{path}: 32 or more hexadecimal digits are wanted as the identity key; "
            "name another file with --id_key_file, or one that does not exist yet "
            "to have it made"
        )
    return Pseudonyms(key, path), made


def existing_pseudonyms(id_key_file: str | None) -> Pseudonyms | None:
    """The pseudonyms of a key that exists; None where there is none by default.

    Raises:
      ValueError: A file was named that does not exist, or holds no key.
    """
    path = key_path(id_key_file)
    if path is None or path.exists():
        return load_pseudonyms(id_key_file)[0]
    if id_key_file:
        raise ValueError(f"id_key_file={id_key_file!r}: {path} does not exist")
    return None


def key_to_name(fingerprint: object) -> str:
    """What to say with ``--id_key_file``, of a data set that another key made."""
    if fingerprint == Pseudonyms(_PUBLIC_KEY).fingerprint:
        return f"give --id_key_file={PUBLIC}"
    return f"name that key (fingerprint {fingerprint}) with --id_key_file"


def _refuse_shared(path: pathlib.Path) -> None:
    """Refuses a key that others may read: with it, they can find patients again."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if os.name == "posix" and mode & 0o077:
        raise ValueError(
            f"{path}: others may read the identity key (mode {mode:04o}), and who has "
            f"it can find patients again; run: chmod 600 '{path}'"
        )


def _default_path() -> pathlib.Path:
    folder = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return pathlib.Path(folder).expanduser() / "tfdicom" / "id.key"


def _make_key(path: pathlib.Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32) + "\n")


def signed_64_bits(key: str) -> int:
    """First 64 bits of a hexadecimal key as a signed integer."""
    return int.from_bytes(bytes.fromhex(key[:16]), "big", signed=True)


def crosswalk_path(pseudonyms: Pseudonyms, output_dir: str) -> pathlib.Path | None:
    """Where the crosswalk of a data set lies: beside the key; None for public data."""
    if pseudonyms.path is None:
        return None
    path = private_path(pseudonyms, output_dir, "crosswalk")
    return path.with_name(f"{path.name}.csv")


def private_path(pseudonyms: Pseudonyms, output_dir: str, kind: str) -> pathlib.Path:
    """A file about a data set for its maker alone: beside the key, as ``KIND-NAME``.

    For public data, which has no key file, in the user's configuration folder.
    """
    if "://" not in output_dir:  # a folder has many names: links, and ways up and down
        output_dir = str(pathlib.Path(output_dir).resolve())
    folder = (pseudonyms.path or _default_path()).parent
    return folder / f"{kind}-{pseudonyms.of('data set', output_dir)[:12]}"


def write_private(path: pathlib.Path, text: str) -> None:
    """Writes a file that its owner alone may read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f"{path.name}.partial")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(
            descriptor, "w", newline="", encoding="utf-8", errors="surrogateescape"
        ) as file:
            file.write(text)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_crosswalk(path: pathlib.Path | None) -> Iterator[tuple[str, str, str, str]]:
    """The rows of a crosswalk; none where there is no file."""
    if path is None or not path.exists():
        return
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = csv.reader(file)
        next(rows, None)
        for row in rows:
            yield row[0], row[1], row[2], row[3]


def write_crosswalk(path: pathlib.Path, rows: Iterable[tuple[str, ...]]) -> None:
    """Writes ``candidate, patient, source_patient, source_path`` rows, mode 0600."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(CROSSWALK_COLUMNS)
    writer.writerows(rows)
    write_private(path, text.getvalue())
