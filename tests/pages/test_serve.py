"""The server of `rdpcodec serve`, queried as a browser would."""

from __future__ import annotations

import asyncio
import io
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from itertools import islice
from typing import Any

import numpy as np
import pytest
from page_server import LIMITS, Server, pixels, png
from PIL import Image
from starlette.exceptions import HTTPException
from starlette.requests import Request

from rdpcodec import Codec, OperatingPoint
from rdpcodec.format.container import bits_per_pixel, read_header
from rdpcodec.image import ImageData
from rdpcodec.image import files as image_files
from rdpcodec.metrics.distortion import psnr
from rdpcodec.pages import connections, serve


def test_what_is_served_is_what_the_codec_gives(server: Server, piece: Image.Image, codec: Codec) -> None:
    path = server.upload(piece)
    for quality in (40, 12.34):
        data = codec.compress(piece, quality)
        decoded = np.asarray(codec.decompress(data))
        dials = f"?quality={quality}&realism=0"
        file = server.ask(f"{path}/file{dials}")
        assert (file.body, file.headers["content-disposition"]) == (data, "attachment")
        assert (pixels(server.ask(f"{path}/decoded{dials}").body) == decoded).all()
        coded = server.ask(f"{path}/coded{dials}").json
        assert coded == {"bytes": len(data), "bpp": bits_per_pixel(data)}
        figures = server.ask(f"{path}/figures{dials}").json
        assert figures["psnr"] == pytest.approx(psnr(np.asarray(piece), decoded), abs=1e-4)
        assert 0.5 < figures["ms_ssim"] < 1
    assert (pixels(server.ask(f"{path}/original").body) == np.asarray(piece)).all()


def test_alpha_reaches_the_file_and_the_page(server: Server, small: Image.Image) -> None:
    small = small.copy()
    small.putalpha(Image.linear_gradient("L").resize(small.size))
    path = server.upload(small)
    decoded = pixels(server.ask(f"{path}/decoded?quality=100&realism=0").body)
    assert (decoded[..., 3] == np.asarray(small)[..., 3]).all()
    assert (pixels(server.ask(f"{path}/original").body) == np.asarray(small)).all()


def test_what_is_lost_of_an_image_is_said_each_time(server: Server, small: Image.Image) -> None:
    frames = io.BytesIO()
    small.save(frames, "WEBP", save_all=True, append_images=[small.rotate(180)], duration=100)
    for _ in range(2):
        answer = server.ask("/images", frames.getvalue())
        assert answer.json["notes"] == ["only the first of several frames is coded"]
    assert server.ask("/images", png(small)).json["notes"] == []


def test_turning_realism_decodes_anew_but_does_not_encode(
    codec_with_realism: Codec, small: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[float] = []
    encoder = codec_with_realism.encoder

    def counted(loaded: ImageData) -> Callable[[OperatingPoint], bytes]:
        encode = encoder(loaded)

        def count(point: OperatingPoint) -> bytes:
            encoded.append(point.quality)
            return encode(point)

        return count

    monkeypatch.setattr(codec_with_realism, "encoder", counted)
    running = Server(codec_with_realism)
    try:
        path = running.upload(small)
        shown = [
            pixels(running.ask(f"{path}/decoded?quality=40&realism={realism}").body)
            for realism in (0, 0.6, 1)
        ]
        file = running.ask(f"{path}/file?quality=40&realism=0.6").body
    finally:
        running.stop()
    assert encoded == [40]
    means = [image.mean() for image in shown]
    assert means[0] < means[1] - 1 < means[2] - 2
    assert read_header(file)[0].realism == pytest.approx(0.6, abs=1 / 255)
    assert (np.asarray(codec_with_realism.decompress(file)) == shown[1]).all()


@pytest.mark.parametrize(
    ("dials", "message"),
    [
        ("quality=101&realism=0", "quality 101.0 is outside 0..100"),
        ("quality=nan&realism=0", "outside 0..100"),
        ("quality=40&realism=0.5", "no realism setting"),
        ("quality=high&realism=0", "give quality and realism as numbers"),
        ("quality=40", "give quality and realism as numbers"),
    ],
)
def test_dials_that_cannot_be_turned_so_far_are_refused(
    server: Server, small: Image.Image, dials: str, message: str
) -> None:
    answer = server.ask(f"{server.upload(small)}/coded?{dials}")
    assert answer.status == 400
    assert message in answer.json["error"]


def test_uploads_that_are_too_large_or_no_images_are_refused(server: Server) -> None:
    large = bytes(LIMITS.size + 1)
    wide = png(Image.new("L", (LIMITS.pixels + 1, 1)))
    for body, status, message in (
        (large, 413, "over this server's limit of 0.3 MB"),
        (iter([large[:200_000], large[:200_000]]), 413, "over this server's limit of 0.3 MB"),  # chunked
        (wide, 400, "an image of 50001×1 pixels is over the limit of 50000 pixels"),
        (b"GIF89a" + bytes(9), 400, "not an image"),
        (b"", 400, "the file is empty"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 400, "not an image"),  # for Ghostscript
    ):
        answer = server.ask("/images", body)
        assert answer.status == status
        assert message in answer.json["error"]
        assert "the given data" not in answer.json["error"]  # the page names the file


@pytest.mark.parametrize(("module", "kind"), [("pillow_heif", "HEIF"), ("pillow_jxl", "JXL")])
def test_formats_of_plugins_are_taken_where_the_plugin_is_installed(
    server: Server, small: Image.Image, module: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(module)
    image_files.register_plugins()
    buffer = io.BytesIO()
    small.save(buffer, kind)
    answer = server.ask("/images", buffer.getvalue())
    assert (answer.status, answer.json["width"]) == (201, small.width)
    without = {name: reader for name, reader in Image.OPEN.items() if name != kind}
    monkeypatch.setattr(Image, "OPEN", without)  # as if the plugin were not installed
    monkeypatch.setattr(image_files, "register_plugins", frozenset)
    answer = server.ask("/images", buffer.getvalue())
    assert answer.status == 400
    assert answer.json["error"].endswith("needs a plugin: pip install 'rdpcodec[formats]'")


def test_only_the_servers_own_names_and_pages_are_answered(server: Server, small: Image.Image) -> None:
    for host in (f"localhost:{server.port}", "127.0.0.1:80", "[::1]:80", "192.168.1.7", "my-machine"):
        assert server.ask("/", Host=host).status == 200
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "[::1", ""):
        answer = server.ask("/", Host=host)
        assert answer.status == 421
        assert "no name of this server" in answer.json["error"]
    own = f"http://127.0.0.1:{server.port}"
    assert server.ask("/images", png(small), Origin=own).status == 201
    for origin in ("http://evil.example", "null", "http://[", f"http://localhost:{server.port + 1}"):
        answer = server.ask("/images", png(small), Origin=origin)
        assert answer.status == 403
        assert f"pages of {origin} are refused" in answer.json["error"]


def test_answers_are_kept_by_no_cache_and_shown_by_no_other_page(server: Server, small: Image.Image) -> None:
    for path in ("/", f"{server.upload(small)}/original", "/missing"):
        assert_private(server.ask(path).headers)
    policy = server.ask("/").headers["content-security-policy"].split("; ")
    for kind in ("default-src", "base-uri", "form-action", "frame-ancestors"):
        assert f"{kind} 'none'" in policy


def assert_private(headers: dict[str, str]) -> None:
    assert headers["cache-control"] == "no-store"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"


def test_an_unexpected_error_is_answered_as_any_other(
    server: Server, small: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = server.upload(small)
    monkeypatch.setattr(serve, "_png", lambda _: 1 / 0)
    answer = server.ask(f"{path}/original")
    assert (answer.status, answer.json["error"]) == (500, "the server failed: its log says how")
    assert_private(answer.headers)


def test_a_browser_keeps_the_decoder_while_it_is_the_same(codec: Codec) -> None:
    running = Server(codec, {"a.js": b"1", "b.js": b"2"})
    try:
        first, other = running.ask("/decoder/a.js"), running.ask("/decoder/b.js")
        assert first.headers["cache-control"] == "private, no-cache"
        tag = first.headers["etag"]
        assert tag != other.headers["etag"]
        again = running.ask("/decoder/a.js", **{"If-None-Match": tag})
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
        assert running.ask("/decoder/b.js", **{"If-None-Match": tag}).body == b"2"
        missing = running.ask("/decoder/c.js")
        assert (missing.status, missing.headers["cache-control"]) == (404, "no-store")
    finally:
        running.stop()


def test_four_images_are_kept_those_used_last(server: Server, small: Image.Image) -> None:
    paths = [server.upload(small) for _ in range(4)]
    assert server.ask(f"{paths[0]}/original").status == 200
    paths.append(server.upload(small))
    answers = [server.ask(f"{path}/original") for path in paths]
    assert [answer.status for answer in answers] == [200, 404, 200, 200, 200]
    assert "not in memory any more" in answers[1].json["error"]


def test_several_requests_at_once_each_get_their_own_answer(
    server: Server, small: Image.Image, codec: Codec
) -> None:
    path = server.upload(small)
    qualities = range(10, 90, 10)
    found: dict[int, bytes] = {}

    def ask(quality: int) -> None:
        found[quality] = server.ask(f"{path}/decoded?quality={quality}&realism=0").body

    threads = [threading.Thread(target=ask, args=(quality,)) for quality in qualities]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for quality in qualities:
        decoded = np.asarray(codec.decompress(codec.compress(small, quality)))
        assert (pixels(found[quality]) == decoded).all()


def test_a_file_that_two_of_pillows_readers_take_is_read_by_ours_alone(server: Server) -> None:
    """A TIFF of 8×8 pixels that begins like a file of Pillow's IM format with too many pixels."""
    tiff = io.BytesIO()
    Image.new("L", (8, 8)).save(tiff, "TIFF")
    directory = bytearray(tiff.getvalue())
    head = b"II*\0" + (512).to_bytes(4, "little") + b"Image type: 0 1 image\r\nImage size (x*y): 600*600\r\n"
    # The directory moves to 512; where its entries point into the file, they point elsewhere then.
    offset = int.from_bytes(directory[4:8], "little")
    entries = directory[offset:]
    polyglot = head.ljust(511, b"\0") + b"\x1a" + bytes(entries) + bytes(600 * 600 // 8)
    answer = server.ask("/images", polyglot)
    assert answer.status == 400 or (answer.json["width"], answer.json["height"]) == (8, 8)


def test_another_format_is_served_at_about_as_many_bytes(server: Server, piece: Image.Image) -> None:
    path, dials = server.upload(piece), "?quality=50&realism=0"
    ours = server.ask(f"{path}/coded{dials}").json["bytes"]
    for name in ("jpeg", "webp", "avif"):
        answer = server.ask(f"{path}/{name}{dials}")
        assert (answer.status, answer.headers["content-type"]) == (200, f"image/{name}")
        shown = Image.open(io.BytesIO(answer.body))
        assert (shown.format, shown.size) == (name.upper(), piece.size)
        assert 0.7 < len(answer.body) / ours < 1.4


def test_a_format_without_transparency_stands_beside_a_transparent_image(
    server: Server, small: Image.Image
) -> None:
    clear = small.copy()
    clear.putalpha(Image.linear_gradient("L").resize(small.size))
    for image, modes in ((clear, ("RGB", "RGBA")), (clear.convert("LA"), ("RGB", "RGBA"))):
        path = server.upload(image)
        for name, mode in zip(("jpeg", "webp"), modes, strict=True):
            answer = server.ask(f"{path}/{name}?quality=50&realism=0")
            assert answer.status == 200, answer.body
            assert Image.open(io.BytesIO(answer.body)).mode == mode


def test_a_format_that_cannot_hold_the_image_is_named(server: Server) -> None:
    """WebP ends at 16383 pixels a side."""
    path, dials = server.upload(Image.new("RGB", (16_384, 1))), "?quality=50&realism=0"
    answer = server.ask(f"{path}/webp{dials}")
    assert (answer.status, "WebP cannot hold this image" in answer.json["error"]) == (400, True)
    assert server.ask(f"{path}/jpeg{dials}").status == 200


def test_idle_connections_are_closed_and_keep_nobody_out(
    plain_codec: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)
    running = Server(plain_codec)
    idle = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(40)]
    try:
        idle[0].send(b"GET / HTTP/1.1\r\nHost: 127")  # a head that never ends
        assert running.ask("/").status == 200
        for connection in idle:
            connection.settimeout(60)
            assert connection.recv(1) == b""  # closed by the server
    finally:
        for connection in idle:
            connection.close()
        running.stop()


def test_slow_uploads_end_and_leave_room_for_others(
    plain_codec: Codec, small: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "PAUSE_SECONDS", 0.5)
    running = Server(plain_codec)
    head = f"POST /images HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {LIMITS.size}\r\n\r\nabc".encode()
    slow = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(4)]
    try:
        for connection in slow:
            connection.send(head)
        for connection in slow:
            connection.settimeout(60)
            assert connection.recv(100).startswith(b"HTTP/1.1 408")
        running.upload(small)
    finally:
        for connection in slow:
            connection.close()
        running.stop()


def test_an_upload_that_trickles_in_ends(plain_codec: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each piece comes in time, but the whole upload does not."""
    monkeypatch.setattr(serve, "UPLOAD_SECONDS", 0.3)
    running = Server(plain_codec)
    connection = socket.create_connection(("127.0.0.1", running.port))
    connection.settimeout(0.02)
    answer = b""
    try:
        connection.send(b"POST /images HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1500\r\n\r\n")
        for _ in range(1000):  # 20 seconds, if nothing ends it
            with suppress(TimeoutError):
                answer = connection.recv(100)
                break
            connection.send(b"x")
    finally:
        connection.close()
        running.stop()
    assert answer.startswith(b"HTTP/1.1 408")


def test_an_upload_ends_in_time_even_if_a_piece_comes_at_that_moment(
    plain_codec: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pieces come at every turn of the loop. A limit that one of them can cancel would be lost by chance."""
    monkeypatch.setattr(serve, "UPLOAD_SECONDS", 0.02)
    server = serve.ImageServer(plain_codec, LIMITS, decodes=False)
    ended = time.monotonic() + 20

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"type": "http.request", "body": b"x", "more_body": time.monotonic() < ended}

    with ThreadPoolExecutor(1) as pool:  # the browser's tests leave a loop in this thread
        for _ in range(10):
            upload = server.upload(Request({"type": "http", "headers": []}, receive))
            with pytest.raises(HTTPException) as caught:
                pool.submit(asyncio.run, upload).result()
            assert caught.value.status_code == 408


def test_an_image_that_memory_cannot_hold_is_an_error_and_ends_nothing(
    plain_codec: Codec, small: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = Server(plain_codec)

    def full(*_: object, **__: object) -> Any:
        raise MemoryError

    try:
        with monkeypatch.context() as patch:
            patch.setattr(serve, "load_image", full)
            for _ in range(5):  # more than may be uploaded at a time
                answer = running.ask("/images", png(small))
                assert (answer.status, "not enough memory" in answer.json["error"]) == (507, True)
        running.upload(small)
    finally:
        running.stop()


def test_an_upload_is_read_while_the_codec_is_at_work(
    server: Server, small: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The codec waits for the upload that begins meanwhile: with one lock for both, neither would end."""
    read, path = threading.Event(), server.upload(small)
    reading = serve._read

    def watched(data: bytes, pixels: int) -> Any:
        found = reading(data, pixels)
        read.set()
        return found

    monkeypatch.setattr(serve, "_read", watched)
    waited: list[bool] = []
    monkeypatch.setattr(serve.LoadedImage, "file_with", lambda *_: (waited.append(read.wait(60)), b"file")[1])
    asking = threading.Thread(target=server.ask, args=(f"{path}/file?quality=50&realism=0",))
    asking.start()
    server.upload(small)
    asking.join()
    assert waited == [True]


def test_uploads_that_wait_to_be_read_count_as_uploads(
    plain_codec: Codec, small: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise bodies pile up in memory while one image is read."""
    running, go_on, entered = Server(plain_codec), threading.Event(), threading.Event()
    reading = serve._read

    def slowly(data: bytes, pixels: int) -> Any:
        entered.set()
        assert go_on.wait(60)
        return reading(data, pixels)

    monkeypatch.setattr(serve, "_read", slowly)
    with ThreadPoolExecutor(8) as pool:
        try:
            asked = [pool.submit(running.ask, "/images", png(small)) for _ in range(8)]
            assert entered.wait(60)
            refused = [answer.result().status for answer in islice(as_completed(asked), 4)]
        finally:
            go_on.set()
        statuses = sorted(answer.result().status for answer in asked)
    running.stop()
    assert refused == [503] * 4
    assert statuses == [201] * 4 + [503] * 4


def test_hidden_colours_are_no_error(server: Server, small: Image.Image) -> None:
    image, half = small.copy(), (small.width, small.height // 2)
    image.paste(Image.effect_noise(half, 90).convert("RGB"), (0, 0))
    alpha = Image.new("L", small.size, 255)
    alpha.paste(0, (0, 0, *half))
    image.putalpha(alpha)
    path = server.upload(image)
    assert server.ask(f"{path}/figures?quality=70&realism=0").json["psnr"] > 30


def test_a_format_that_nobody_waits_for_any_more_is_not_made(
    plain_codec: Codec, small: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, go_on, made = Server(plain_codec), threading.Event(), []

    def slowly(self: serve.LoadedImage, name: str, size: int) -> bytes:
        made.append(size)
        assert go_on.wait(60)
        return b"file"

    monkeypatch.setattr(serve.LoadedImage, "peer_file", slowly)
    path = running.upload(small)
    waiting = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(4)]
    try:
        for number, connection in enumerate(waiting):
            head = f"GET {path}/jpeg?quality={50 + number}&realism=0 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
            connection.send(head.encode())
            if not number:
                while not made:
                    time.sleep(0.01)
        for connection in waiting[1:]:
            connection.close()
        running.ask(f"{path}/coded?quality=50&realism=0")  # by now the server has seen them go
        go_on.set()
        assert running.ask(f"{path}/jpeg?quality=90&realism=0").body == b"file"
    finally:
        go_on.set()
        waiting[0].close()
        running.stop()
    assert len(made) == 2


def test_connections_that_do_not_take_their_answer_are_closed(
    plain_codec: Codec, small: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)
    running = Server(plain_codec, {"large.bin": bytes(30_000_000)})
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", running.port))
    try:
        connection.send(b"GET /decoder/large.bin HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        connection.settimeout(60)
        taken, deadline = len(connection.recv(1)), time.monotonic() + 60
        while running.connections and time.monotonic() < deadline:
            time.sleep(0.01)
        with suppress(ConnectionResetError):
            while data := connection.recv(1 << 16):
                taken += len(data)
        assert taken < 30_000_000
        running.upload(small)
    finally:
        connection.close()
        running.stop()
