"""A user's own codec for the bench: a JSON file with the command lines that encode and decode an image."""

from __future__ import annotations

import io
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from bench.record import number_text, read_record
from rdpcodec.errors import UsageError

# Longer than any codec takes for an image; a command that waits for a key would otherwise wait forever.
_SECONDS = 600


@dataclass(frozen=True)
class OwnCodec:
    """The file's content. In the words of a command, `{input}`, `{output}` and `{setting}` are replaced.

    encode_words: read a PNG, write an encoded file; decode_words: read that file, write a PNG. settings: from
    the smallest to the largest files. suffix: that of the encoded files, with its dot.
    """

    name: str
    description: str
    settings: tuple[float, ...]
    encode_words: tuple[str, ...]
    decode_words: tuple[str, ...]
    suffix: str = ".bin"

    @classmethod
    def load(cls, path: Path) -> OwnCodec:
        """Read the file. Raises `UsageError` if it does not describe a codec."""
        record = read_record(path)
        if not isinstance(record, dict):
            raise UsageError(f"{path}: must be an object with name, settings, encode and decode")
        return cls(
            _text(record, "name", path),
            _text(record, "description", path, default=_text(record, "name", path)),
            _settings(record, path),
            _words(record, "encode", path),
            _words(record, "decode", path),
            _text(record, "suffix", path, default=".bin"),
        )

    def encode(self, image: Image.Image, setting: float) -> bytes:
        """Encode an image to the bytes of a file. Raises `UsageError` if the command fails."""
        buffer = io.BytesIO()
        image.save(buffer, "PNG", compress_level=1)
        return self._run(self.encode_words, buffer.getvalue(), ".png", self.suffix, setting)

    def decode(self, data: bytes) -> Image.Image:
        """Decode a file to an RGB image. Raises `UsageError` if the command fails or writes no image."""
        png = self._run(self.decode_words, data, self.suffix, ".png", None)
        try:
            return Image.open(io.BytesIO(png)).convert("RGB")
        except OSError as error:
            raise UsageError(f"{self.name}: its decoder wrote no image: {error}") from error

    def _run(
        self, words: tuple[str, ...], data: bytes, before: str, after: str, setting: float | None
    ) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder, f"in{before}"), Path(folder, f"out{after}")
            source.write_bytes(data)
            places = {"{input}": str(source), "{output}": str(target)}
            if setting is not None:
                places["{setting}"] = number_text(setting)
            for place, value in places.items():
                words = tuple(word.replace(place, value) for word in words)
            try:
                run = subprocess.run(words, capture_output=True, text=True, check=False, timeout=_SECONDS)
            except OSError as error:
                raise UsageError(f"{self.name}: {words[0]} cannot be run: {error.strerror}") from error
            except subprocess.TimeoutExpired as error:
                raise UsageError(f"{self.name}: {words[0]} took more than {_SECONDS} s") from error
            if run.returncode or not target.is_file():
                said = (run.stderr or run.stdout).strip()[-200:]
                raise UsageError(f"{self.name}: {words[0]} failed ({run.returncode}): {said}")
            return target.read_bytes()


def _text(record: dict[str, Any], key: str, path: Path, default: str | None = None) -> str:
    value = record.get(key, default)
    # The name and the suffix become parts of paths.
    if not isinstance(value, str) or not value or (key != "description" and set(value) & set("/\\")):
        raise UsageError(f"{path}: {key!r} must be text, and no path")
    return value


def _settings(record: dict[str, Any], path: Path) -> tuple[float, ...]:
    values = record.get("settings")
    if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
        values = []
    if len(set(values)) < 2:
        raise UsageError(f"{path}: 'settings' must be two numbers or more, for files from small to large")
    return tuple(values)


def _words(record: dict[str, Any], key: str, path: Path) -> tuple[str, ...]:
    words = record.get(key)
    if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
        raise UsageError(f"{path}: {key!r} must be a list of words, a command line")
    needed = ("{input}", "{output}") + (("{setting}",) if key == "encode" else ())
    missing = [place for place in needed if not any(place in word for word in words)]
    if missing:
        raise UsageError(f"{path}: {key!r} lacks {', '.join(missing)}")
    return tuple(words)
