"""Stable pseudonyms: a keyed hash (HMAC-SHA256) of a hospital's identifiers.

The key stays outside the dataset: whoever has it and can guess an identifier can recompute its
pseudonym, and nobody else can. It comes from the first of these that is there: a secret given in
words, a key file, or a random key made once for each user, so that two datasets which the same user
prepares from the same source agree.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from synth.errors import SynthError
from synth.progress import Progress, Silent

KEY_FILE_VARIABLE = "SYNTH_KEY_FILE"
KEY_BYTES = 32
_FEWEST, _MOST = 16, 4096  # bytes of a key file: shorter can be guessed, longer is another file
_ELSEWHERE = f"Give --secret or --key-file (or set {KEY_FILE_VARIABLE})."


@dataclass(frozen=True)
class Pseudonyms:
    """Maps identifiers of a kind ("patient", "study", …) to short hexadecimal names."""

    key: bytes = field(repr=False)

    def name(self, kind: str, identifier: str) -> str:
        """16 hexadecimal digits; equal identifiers of one kind give equal names."""
        message = f"{kind}:{identifier}".encode("utf-8", "surrogatepass")
        return hmac.new(self.key, message, hashlib.sha256).hexdigest()[:16]


def load_key(
    secret: str,
    key_file: Path | None,
    progress: Progress | None = None,
    *,
    dataset: Path | None = None,
) -> bytes:
    """The key of the pseudonyms, from the first of secret, key file and the user's own key.

    Args:
        secret: words; they are hashed, so make them many. Empty for none.
        key_file: 16 to 4096 bytes, used as they stand; ``SYNTH_KEY_FILE`` by default.
        progress: told where the user's own key lies.
        dataset: the folder that will be published; the key must not lie in it.

    Raises:
        SynthError: the key lies inside the dataset, is missing, unreadable or too short, or the
            user's own key can neither be read nor made.
    """
    progress = progress or Silent()
    if secret:
        return hashlib.sha256(f"pseudonym:{secret}".encode()).digest()
    named = key_file or Path(os.environ.get(KEY_FILE_VARIABLE, ""))
    path = named if named.name else user_key_file()
    if dataset is not None and dataset.resolve() in path.resolve().parents:
        raise SynthError(
            "the key of the pseudonyms lies inside the dataset",
            where=path,
            fix="Keep it elsewhere: whoever gets the dataset must not get the key.",
        )
    if not named.name:
        verb = "made by this run" if _make(path) else "that of an earlier run"
        progress.note(
            f"key of the pseudonyms: {path} ({verb}); keep it private and safe: only with it does "
            "another run give the same pseudonyms"
        )
    return _read(path, progress)


def user_key_file() -> Path:
    """Where the user's own key lies: ``$XDG_DATA_HOME/synth/pseudonym.key`` or under the home.

    Raises:
        SynthError: the user has no home.
    """
    data = Path(os.environ.get("XDG_DATA_HOME", ""))
    if not data.is_absolute():  # the XDG specification has relative paths ignored
        try:
            data = Path.home() / ".local" / "share"
        except RuntimeError:
            raise SynthError("there is no home folder to keep a key in", fix=_ELSEWHERE) from None
    return data / "synth" / "pseudonym.key"


def _read(path: Path, progress: Progress) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            key = file.read(_MOST + 1)
    except OSError as error:
        raise SynthError(
            "the key of the pseudonyms cannot be read",
            where=path,
            got=error.strerror,
            fix="Make one with `head -c 32 /dev/urandom > FILE`, or give --secret.",
        ) from None
    if not _FEWEST <= len(key) <= _MOST:
        raise SynthError(
            "not a key for pseudonyms",
            where=path,
            got=f"{len(key)} bytes" if len(key) <= _MOST else f"more than {_MOST} bytes",
            expected=f"{_FEWEST} to {_MOST} bytes",
            fix="Make one with `head -c 32 /dev/urandom > FILE`.",
        )
    if mode & stat.S_IROTH:
        progress.note(f"everyone on this machine can read the key {path}: run chmod 600 on it")
    return key


def _make(path: Path) -> bool:
    """Create the user's key whole or not at all; of two runs at once, the first one's counts.

    Returns:
        Whether this call made it.
    """
    if path.exists():
        return False
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)  # unlike a rename it never replaces a key
    except FileExistsError:
        return False  # another run was first
    except OSError as error:
        raise SynthError(
            "a key for the pseudonyms cannot be made",
            where=path,
            got=error.strerror,
            fix=_ELSEWHERE,
        ) from None
    finally:
        with suppress(OSError):
            temporary.unlink()
    return True
