from __future__ import annotations

import io
import zlib
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdpcodec.errors import FormatError, UsageError
from rdpcodec.format import container
from rdpcodec.format.container import Container, Header, Segment

sides = st.integers(1, 8191)
headers = st.builds(
    Header,
    size=st.sampled_from(sorted(container.SIZE_NUMBERS)),
    fingerprint=st.binary(min_size=4, max_size=4),
    quality=st.integers(0, 10_000).map(lambda q: q / 100),
    realism=st.integers(0, 255).map(lambda r: r / 255),
    width=sides,
    height=sides,
)
side_segments = st.dictionaries(
    st.sampled_from([Segment.ALPHA, Segment.ICC, Segment.EXIF]), st.binary(max_size=300)
)


def plain(width: int = 768, height: int = 512, payload: bytes = b"abcd") -> bytes:
    header = Header("fast", b"\1\2\3\4", 50.0, 0.0, width, height)
    return container.write(Container(header, {Segment.COLOUR: payload}))


def with_checksum(body: bytes) -> bytes:
    return body + zlib.crc32(body).to_bytes(4, "little")


@given(headers, side_segments, st.binary(max_size=200), st.booleans())
def test_what_is_written_is_read(
    header: Header, segments: dict[Segment, bytes], payload: bytes, gray: bool
) -> None:
    image = {Segment.GRAY if gray else Segment.COLOUR: payload}
    file = container.read(container.write(Container(header, {**image, **segments})))
    assert file.header == header
    assert file.segments == {**segments, **image}
    assert file.coded_image == payload
    assert file.gray == gray


@pytest.mark.parametrize("payload", [100, 10_000, 200_000])
def test_a_plain_image_has_at_most_24_bytes_of_overhead(payload: int) -> None:
    assert len(plain(payload=bytes(payload))) - payload <= 24


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        container.read(data)


@given(st.binary(max_size=60))
def test_arbitrary_bytes_after_a_good_signature_with_a_good_checksum_never_break_the_reader(
    tail: bytes,
) -> None:
    body = plain()[:5] + tail
    try:
        file = container.read(with_checksum(body))
    except FormatError:
        return
    assert body.endswith(file.coded_image)


def test_segments_are_refused_or_read_as_they_stand() -> None:
    """All orders of up to three segments, in both versions of the format."""
    for version, count in product((1, 2), range(4)):
        for kinds in product(Segment, repeat=count):
            segments = b"".join(bytes([kind, 1, kind]) for kind in kinds)
            data = with_checksum(plain()[:3] + bytes([version]) + plain()[4:16] + segments)
            try:
                file = container.read(data)
            except FormatError:
                continue
            assert segments.endswith(file.coded_image)
            assert container.write(file) == data


def test_every_single_bit_flip_is_refused() -> None:
    data = plain()
    for position in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[position // 8] ^= 1 << position % 8
        with pytest.raises(FormatError):
            container.read(bytes(damaged))


def test_every_truncation_and_extension_is_refused() -> None:
    data = plain()
    for length in range(len(data)):
        with pytest.raises(FormatError):
            container.read(data[:length])
    with pytest.raises(FormatError):
        container.read(data + b"\0")


@pytest.mark.parametrize(
    ("offset", "replacement", "message"),
    [
        (0, b"PNG", "not an .rdpc file"),
        (3, b"\x02", "has version 1"),
        (3, b"\x00", "format version 0"),
        (3, b"\x03", "format version 3"),
        (4, b"\xc8", "size 200"),
        (9, (10_001).to_bytes(2, "little"), "quality 100.01"),
        (12, b"\x00", "0×"),
        (12, b"\xff\xff\xff\xff\x07\xff\xff\xff\xff\x07", "pixels"),
        (12, b"\x80\x80\x80\x80\x80\x80", "malformed number"),
        (12, b"\x80\x80\x80\x80\x80\x01", "malformed number"),
        (12, b"\x80\x00", "malformed number"),
        (12, b"\xff\xff\x03\xff\xff\x03", "megapixels"),
        (16, b"\x65\x00\x00", "newer rdpcodec"),
        (16, b"\x01\xff\x7f\x00", "claims"),
        (16, b"\x02\x00\x02\x00\x01\x00", "two segments"),
        (16, b"\x01\x00\x02\x00", "not the last"),
        (16, b"\x02\x00", "no coded image"),
    ],
)
def test_headers_that_lie_are_refused_by_name(offset: int, replacement: bytes, message: str) -> None:
    body = plain()[:offset] + replacement
    if offset < 12:
        body += plain()[offset + len(replacement) : -4]
    with pytest.raises(FormatError, match=message):
        container.read(with_checksum(body))


@pytest.mark.parametrize("kind", [kind for kind in Segment if kind != Segment.COLOUR])
def test_the_version_tells_old_readers_of_segments_that_they_do_not_know(kind: Segment) -> None:
    header = container.read(plain()).header
    image = {} if kind == Segment.GRAY else {Segment.COLOUR: b"abcd"}
    data = container.write(Container(header, {kind: b"efgh", **image}))
    needed, other = (2, 1) if kind.name in ("EXACT", "OPACITY") else (1, 2)
    assert data[3] == needed
    with pytest.raises(FormatError, match=f"has version {needed}"):
        container.read(with_checksum(data[:3] + bytes([other]) + data[4:-4]))


@given(st.floats(0, 1))
def test_realism_is_stored_as_the_nearest_step(realism: float) -> None:
    file = Container(replace(container.read(plain()).header, realism=realism), {Segment.COLOUR: b""})
    stored = container.read(container.write(file)).header.realism
    assert abs(stored - realism) <= min(abs(step / 255 - realism) for step in range(256)) + 1e-12
    shown = container.decimal_realism(stored)
    assert round(shown * 255) == round(stored * 255)
    assert shown == container.decimal_realism(shown)


def test_readers_see_the_realism_that_was_asked_for() -> None:
    for hundredths in range(101):
        stored = round(hundredths / 100 * 255) / 255
        assert container.decimal_realism(stored) in (hundredths / 100, round(hundredths / 100, 1))


def test_an_unknown_segment_of_even_kind_is_skipped() -> None:
    body = plain()[:16] + b"\x64\x02hi" + plain()[16:-4]
    assert container.read(with_checksum(body)).coded_image == b"abcd"


@pytest.mark.parametrize(("width", "height"), [(1, 1), (65_535, 4096), (16_384, 16_384), (4096, 65_535)])
def test_images_of_up_to_268_435_456_pixels_are_read(width: int, height: int) -> None:
    data = plain(width, height)
    for header in (container.read(data).header, container.layout(io.BytesIO(data))[0]):
        assert header.image_size == (width, height)


@pytest.mark.parametrize(("width", "height"), [(0, 5), (65_536, 1), (65_535, 65_535), (16_384, 16_385)])
def test_sizes_that_no_file_may_have_are_not_written(width: int, height: int) -> None:
    with pytest.raises(UsageError):
        plain(width, height)
