"""The decoder in a browser: pixels are within a level of Python's; damaged files are refused."""

from __future__ import annotations

import base64
import io
import json
import random
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzz.damage import mutated
from in_browser import PATIENCE
from PIL import Image, ImageDraw

from rdpcodec import Codec
from rdpcodec.errors import RdpWarning
from rdpcodec.format import container
from rdpcodec.format.container import Container, Segment

GOLDEN = Path(__file__).parents[1] / "golden"


# Bytes go in and pixels come out as base64; an error of ours comes out as its name and message.
DECODE = """async ([file, options]) => {
  const { decode } = await import("/rdpcodec.js");
  const bytes = Uint8Array.from(atob(file), (c) => c.charCodeAt(0));
  try {
    const { width, height, data } = await decode(bytes, options);
    let text = "";
    for (let i = 0; i < data.length; i += 32768) text += String.fromCharCode(...data.subarray(i, i + 32768));
    return { width, height, pixels: btoa(text) };
  } catch (error) {
    return { name: error.name, message: error.message };
  }
}"""


def decode(tab: Any, data: bytes, **options: Any) -> np.ndarray:
    """RGBA, uint8 `[H, W, 4]`."""
    found = tab.evaluate(DECODE, [base64.b64encode(data).decode(), options])
    assert "pixels" in found, found
    pixels = np.frombuffer(base64.b64decode(found["pixels"]), np.uint8)
    return pixels.reshape(found["height"], found["width"], 4)


def refusal(tab: Any, data: bytes, **options: Any) -> tuple[str, str]:
    """Name and message of the error."""
    found = tab.evaluate(DECODE, [base64.b64encode(data).decode(), options])
    assert "pixels" not in found
    return found["name"], found["message"]


def rgba(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGBA"))


def assert_within_a_level(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    difference = np.abs(found.astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


def test_golden_files_have_their_pixels(tab: Any) -> None:
    for name in json.loads((GOLDEN / "symbols.json").read_text()):
        with Image.open(GOLDEN / f"{name}.png") as golden:
            assert_within_a_level(decode(tab, (GOLDEN / f"{name}.rdpc").read_bytes()), rgba(golden))


def test_realism_and_region_do_what_they_do_in_python(tab: Any, codec: Codec, photo: bytes) -> None:
    for realism in (0.25, 1, 0):
        assert_within_a_level(
            decode(tab, photo, realism=realism), rgba(codec.decompress(photo, realism=realism))
        )
    for region in ([10, 20, 50, 30], [100, 66, 1, 1]):
        x, y, width, height = region
        whole = rgba(codec.decompress(photo))
        assert_within_a_level(decode(tab, photo, region=region), whole[y : y + height, x : x + width])
    assert refusal(tab, photo, realism=2)[0] == "UsageError"
    for region in ([0, 0, 102, 1], [0, 0, 1, 68], [-1, 0, 1, 1], [0, 0, 0, 1]):
        assert refusal(tab, photo, region=region)[0] == "UsageError"
    assert refusal(tab, photo, maxPixels=1000)[0] == "FormatError"


def test_drawn_blocks_and_alpha_are_exact_in_every_tile(
    tab: Any, codec: Codec, photograph: Image.Image
) -> None:
    """Two tiles: drawn on the left, a photograph on the right, transparent in places."""
    drawn = photograph.resize((1100, 70))
    drawn.paste((20, 120, 220), (0, 0, 730, 70))
    ImageDraw.Draw(drawn).text((5, 5), "Exactly so", (255, 255, 255))
    drawn.putalpha(Image.linear_gradient("L").resize(drawn.size))
    data = codec.compress(drawn, 60, exact_alpha=True)
    assert {Segment.EXACT, Segment.OPACITY} <= container.read(data).segments.keys()
    found, expected = decode(tab, data), rgba(codec.decompress(data))
    assert_within_a_level(found, expected)
    np.testing.assert_array_equal(found[:, :700], expected[:, :700])
    np.testing.assert_array_equal(found[..., 3], expected[..., 3])
    np.testing.assert_array_equal(decode(tab, data, region=[600, 10, 200, 20]), found[10:30, 600:800])


def test_files_of_as_many_bytes_are_told_apart(tab: Any, codec: Codec, photo: bytes) -> None:
    """The decoder keeps the last images, but never shows one for another file."""
    other = photo[:11] + b"\xff" + photo[12:-4]  # another realism in its header
    other += zlib.crc32(other).to_bytes(4, "little")
    for data, realism in ((photo, 0.4), (other, 1), (photo, 0.4)):
        assert_within_a_level(decode(tab, data), rgba(codec.decompress(data, realism=realism)))


def test_parts_of_a_decoded_image_are_those_of_the_whole(
    tab: Any, codec: Codec, photograph: Image.Image
) -> None:
    """Two tiles, decoded afresh and from what the decoder keeps of them."""
    data = codec.compress(photograph.resize((1100, 70)), 30)
    expected = rgba(codec.decompress(data, realism=0.5))
    region, (x, y, width, height) = [500, 20, 90, 33], (500, 20, 90, 33)
    part = expected[y : y + height, x : x + width]
    assert_within_a_level(decode(tab, data, region=region, realism=0.5), part)
    assert_within_a_level(decode(tab, data, realism=0.5), expected)
    assert_within_a_level(decode(tab, data, region=region, realism=0.5), part)


def test_damaged_files_are_refused(tab: Any, photo: bytes) -> None:
    generator = random.Random(0)
    damaged = [data for data in (mutated(photo, generator) for _ in range(24)) if data != photo]
    assert len(damaged) >= 20
    assert {refusal(tab, data)[0] for data in damaged} == {"FormatError"}


def test_other_weights_are_asked_for_by_name(tab: Any, photo: bytes) -> None:
    body = photo[:5] + b"\1\2\3\4" + photo[9:-4]
    name, message = refusal(tab, body + zlib.crc32(body).to_bytes(4, "little"))
    assert (name, "fast-01020304" in message) == ("WeightsError", True)


# Whether an element shows these RGBA levels, each within one.
SHOWS = """([id, levels]) => {
  const element = document.getElementById(id), image = element.shadowRoot?.querySelector("img") ?? element;
  if (!image.complete || !image.naturalWidth) return false;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  return data.length === levels.length && data.every((level, i) => Math.abs(level - levels[i]) <= 1);
}"""


def test_elements_show_files_and_follow_their_attributes(tab: Any, codec: Codec, photo: bytes) -> None:
    def shows(element: str, realism: float) -> None:
        levels = rgba(codec.decompress(photo, realism=realism)).ravel().tolist()
        tab.wait_for_function(SHOWS, arg=[element, levels])

    shows("image", container.read(photo).header.realism)
    shows("element", 1)
    for realism in (0, 0.5):
        for element in ("image", "element"):
            tab.evaluate(f"document.getElementById('{element}').setAttribute('realism', '{realism}')")
            shows(element, realism)
    for element in ("image", "element"):
        tab.evaluate(f"document.getElementById('{element}').removeAttribute('realism')")
        shows(element, container.read(photo).header.realism)
    assert tab.evaluate("document.getElementById('element').shadowRoot.querySelector('img').alt") == "a cup"
    tab.evaluate("document.getElementById('element').setAttribute('realism', '1')")


@pytest.mark.usefixtures("tab")
def test_the_examples_of_the_docs_run(view: Any, site: Path, address: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "web.md").read_text()
    markup, script = (re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL)[0] for kind in ("html", "js"))
    fetched = "const bytes = new Uint8Array(await (await fetch('photo.rdpc')).arrayBuffer());"
    found = "[image.width, image.height, blob.type, width, height, quality, realism]"
    (site / "example.js").write_text(f"{fetched}\n{script}\nwindow.found = {found};")
    head = '<!doctype html><link rel="icon" href="data:,"><script type="module" src="example.js"></script>'
    (site / "example.html").write_text(head + markup)
    view.set_default_timeout(PATIENCE)
    view.goto(f"{address}example.html")
    view.wait_for_function("() => window.found")
    assert view.evaluate("window.found") == [50, 30, "image/png", 101, 67, 40, 0.4]
    view.wait_for_function("() => document.querySelector('img').naturalWidth === 101")


def test_a_page_that_cannot_load_its_decoder_says_so(browser: Any, site: Path, address: str) -> None:
    page = browser.new_page()
    page.goto((site / "index.html").as_uri())
    page.wait_for_selector("#unloaded:has-text('open the page through a web server')", state="visible")
    page.goto(f"{address}index.html")
    page.wait_for_function("() => !document.getElementById('unloaded')")
    page.close()


def test_an_element_that_cannot_show_its_file_says_so(
    browser: Any, site: Path, address: str, photo: bytes
) -> None:
    (site / "damaged.rdpc").write_bytes(photo[:-1])
    page = browser.new_page()
    page.goto(f"{address}index.html")
    message = page.evaluate("""() => new Promise((resolve) => {
      const image = document.createElement("img");
      image.addEventListener("error", (event) => resolve(event.message));
      image.dataset.rdpc = "damaged.rdpc";
      document.body.append(image);
    })""")
    assert "checksum" in message
    page.close()


def test_weights_are_loaded_when_they_are_needed_and_again_where_they_arrive_damaged(
    browser: Any, address: str, codec: Codec, photo: bytes
) -> None:
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{address}index.html")
    page.route("**/models.json", lambda route: route.fulfill(status=503))
    name, message = refusal(page, photo)
    assert (name, "models.json" in message, "status 503" in message) == ("WeightsError", True, True)
    page.unroute_all()
    for part in ("integers", "synthesis"):
        page.route(f"**/*.{part}.*.bin", lambda route: route.fulfill(body=bytes(5000)))
        name, message = refusal(page, photo, realism=0)
        assert (name, f".{part}." in message, "is damaged" in message) == ("WeightsError", True, True)
        page.unroute_all()
    loaded: list[str] = []
    page.on("response", lambda response: loaded.append(Path(response.url).name.split(".")[1]))
    assert_within_a_level(decode(page, photo, realism=0), rgba(codec.decompress(photo, realism=0)))
    assert "realism" not in loaded
    decode(page, photo, realism=0.5)
    assert "realism" in loaded
    page.close()


def test_a_missing_runtime_is_named(browser: Any, address: str, photo: bytes) -> None:
    page = browser.new_page()
    page.goto(f"{address}index.html")
    page.route("**/ort.wasm.min.mjs", lambda route: route.fulfill(status=404))
    name, message = refusal(page, photo)
    assert (name, "onnxruntime-web cannot be loaded" in message) == ("WeightsError", True)
    page.close()


def test_lazy_images_wait_until_they_come_near_the_window(tab: Any, codec: Codec, photo: bytes) -> None:
    tab.evaluate("""() => {
      const space = Object.assign(document.createElement("div"), { style: "height: 10000px" });
      const image = Object.assign(document.createElement("img"), { loading: "lazy", id: "late" });
      image.dataset.rdpc = "photo.rdpc";
      document.body.append(space, image);
    }""")
    # Files are decoded in the order of requests: had the late image been requested, it would come first.
    tab.evaluate("document.getElementById('image').setAttribute('realism', '1')")
    levels = rgba(codec.decompress(photo, realism=1)).ravel().tolist()
    tab.wait_for_function(SHOWS, arg=["image", levels])
    assert not tab.evaluate("document.getElementById('late').src")
    tab.evaluate("document.getElementById('late').scrollIntoView()")
    tab.wait_for_function("() => document.getElementById('late').naturalWidth === 101")
    tab.evaluate("document.getElementById('image').removeAttribute('realism')")


def test_the_page_to_try_it_turns_realism_and_saves(
    view: Any, address: str, codec: Codec, photo: bytes
) -> None:
    view.set_default_timeout(PATIENCE)
    view.goto(f"{address}index.html")
    view.set_input_files("#file", {"name": "cup.rdpc", "mimeType": "image/x-rdpc", "buffer": photo})
    status = view.locator("#status")
    status.filter(has_text="decoded in").wait_for()
    assert status.text_content().startswith(f"cup.rdpc: 101×67, {len(photo)} bytes")
    assert float(view.input_value("#realism")) == 0.4
    assert view.get_by_role("img", name="cup.rdpc, 101×67 pixels, realism 0.40").is_visible()
    view.locator("#invented").check()
    view.locator("#overlay").wait_for(state="visible")
    with Image.open(io.BytesIO(view.locator("#image").screenshot())) as seen:
        channels = np.asarray(seen.convert("RGB"), int)
    assert np.ptp(channels, axis=2).max() > 4  # the image is gray, but the overlay is not
    view.locator("#realism").fill("1")
    view.get_by_role("img", name="cup.rdpc, 101×67 pixels, realism 1.00").wait_for()
    with view.expect_download() as saved:
        view.locator("#save").click()
    assert saved.value.suggested_filename == "cup.png"
    with Image.open(saved.value.path()) as image:
        assert_within_a_level(rgba(image), rgba(codec.decompress(photo, realism=1)))
    broken = {"name": "broken.rdpc", "mimeType": "image/x-rdpc", "buffer": photo[:-1]}
    view.set_input_files("#file", broken)
    status.filter(has_text="checksum").wait_for()


@pytest.mark.usefixtures("tab")
def test_the_page_to_try_it_opens_a_file_beside_it(view: Any, address: str) -> None:
    view.set_default_timeout(PATIENCE)
    view.goto(f"{address}index.html?photo.rdpc")
    view.locator("#status").filter(has_text="photo.rdpc: 101×67").filter(has_text="decoded in").wait_for()


@pytest.mark.usefixtures("tab")
def test_a_page_of_another_place_may_use_the_decoder(browser: Any, address: str, photo: bytes) -> None:
    """Workers must come from the page's own origin; what they load need not, if its server allows it."""
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(address.replace("127.0.0.1", "localhost") + "page.html")
    script = DECODE.replace('"/rdpcodec.js"', f'"{address}rdpcodec.js"')
    found = page.evaluate(script, [base64.b64encode(photo).decode(), {}])
    page.close()
    assert (found.get("width"), found.get("height")) == (101, 67), found


@pytest.fixture(scope="module")
def lenient_tab(browser: Any, site: Path, address: str, photo: bytes) -> Iterator[Any]:
    """A page on which files may be missing."""
    (site / "photo.rdpc").write_bytes(photo)
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{address}index.html")
    yield page
    page.close()


# Counts the load and error events of a new element while ACT is done to it.
LOADS = """async (html) => {
  const host = document.createElement("div"), seen = { load: 0, error: 0 };
  host.innerHTML = html;
  const element = host.firstElementChild;
  const loaded = new Promise((resolve) => {
    for (const kind of ["load", "error"]) element.addEventListener(kind, () => { seen[kind]++; resolve(); });
  });
  document.body.append(host);
  await Promise.race([loaded, new Promise((resolve) => setTimeout(resolve, 60_000))]);
  await (ACT)(element, host);
  await new Promise((resolve) => setTimeout(resolve, 1500));
  host.remove();
  return seen;
}"""


MOVED = "(e, host) => { for (let i = 0; i < 5; i++) host.append(e) }"


@pytest.mark.parametrize(
    ("html", "act", "seen"),
    [
        (
            '<img data-rdpc="photo.rdpc">',
            MOVED,
            (1, 0),
        ),
        (
            '<img data-rdpc="none.rdpc">',
            MOVED,
            (0, 1),
        ),
        (
            '<img data-rdpc="photo.rdpc" realism="1">',
            "(e) => { for (let i = 0; i < 5; i++) e.setAttribute('realism', '1') }",
            (1, 0),
        ),
        ('<rdpc-image src="photo.rdpc" realism="1"></rdpc-image>', "() => {}", (1, 0)),
        ('<rdpc-image src="none.rdpc"></rdpc-image>', "() => {}", (0, 1)),
        ('<img data-rdpc="none.rdpc">', "(e) => e.setAttribute('data-rdpc', 'photo.rdpc')", (1, 1)),
    ],
    ids=["moved", "moved after an error", "set to what it was", "realism after src", "missing", "mended"],
)
def test_an_element_decodes_when_something_changes_and_not_otherwise(
    lenient_tab: Any, html: str, act: str, seen: tuple[int, int]
) -> None:
    assert lenient_tab.evaluate(LOADS.replace("ACT", act), html) == {"load": seen[0], "error": seen[1]}


def test_another_address_ends_the_loading_of_the_one_before(lenient_tab: Any) -> None:
    lenient_tab.route("**/hangs.rdpc", lambda route: None)
    found = lenient_tab.evaluate(
        """async () => {
          const image = document.createElement("img"), seen = [];
          for (const kind of ["load", "error"]) image.addEventListener(kind, () => seen.push(kind));
          image.setAttribute("data-rdpc", "hangs.rdpc");
          document.body.append(image);
          await new Promise((resolve) => setTimeout(resolve, 200));
          const loaded = new Promise((resolve) => image.addEventListener("load", resolve));
          image.setAttribute("data-rdpc", "photo.rdpc");
          await loaded;
          return seen;
        }"""
    )
    assert found == ["load"]


def test_a_failure_to_load_the_runtime_is_not_for_ever(browser: Any, address: str, photo: bytes) -> None:
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{address}index.html")
    page.route("**/*threaded*.wasm", lambda route: route.fulfill(status=503))
    assert refusal(page, photo)[0] == "WeightsError"
    page.unroute_all()
    assert decode(page, photo).shape[2] == 4
    page.close()


def gray_profile() -> bytes:
    """A profile of gray levels that are proportional to light."""
    white = struct.pack(">iii", 63190, 65536, 54061)  # D50
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"gray\0" + bytes(79),
        b"wtpt": b"XYZ " + bytes(4) + white,
        b"kTRC": b"curv" + bytes(4) + struct.pack(">IH", 1, 256) + bytes(2),
        b"cprt": b"text" + bytes(4) + b"none",
    }
    table, body, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    kinds = b"\2\x10\0\0mntrGRAYXYZ " + bytes(12) + b"acsp" + bytes(28)
    header = struct.pack(">I4x", start + len(body)) + kinds + white
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


# Decodes a file, given as a Blob, to a PNG; both are passed in base64.
TO_PNG = """async ([file, options]) => {
  const { decodeToPNG } = await import("/rdpcodec.js");
  const blob = await decodeToPNG(new Blob([Uint8Array.from(atob(file), (c) => c.charCodeAt(0))]), options);
  let text = "";
  for (const byte of new Uint8Array(await blob.arrayBuffer())) text += String.fromCharCode(byte);
  return btoa(text);
}"""


def png_of(tab: Any, data: bytes, **options: Any) -> Image.Image:
    return Image.open(
        io.BytesIO(base64.b64decode(tab.evaluate(TO_PNG, [base64.b64encode(data).decode(), options])))
    )


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_a_profile_of_gray_is_kept(tab: Any, codec: Codec, small: Image.Image, mode: str) -> None:
    profile = gray_profile()
    gray = small.convert("L")
    if mode == "LA":
        gray.putalpha(Image.linear_gradient("L").resize(small.size))
    gray.info["icc_profile"] = profile
    data = codec.compress(gray, 60, keep_metadata=True)
    assert Segment.ICC in container.read(data).segments
    image = png_of(tab, data)
    assert (image.mode, image.info["icc_profile"]) == (mode, profile)
    assert_within_a_level(rgba(image), rgba(codec.decompress(data)))


def test_what_is_damaged_beside_the_image_is_left_out_with_a_warning(
    lenient_tab: Any, codec: Codec, small: Image.Image
) -> None:
    """An alpha channel that is not WebP, and a gray profile in a colour file."""
    clear = small.copy()
    clear.putalpha(128)
    file = container.read(codec.compress(clear, 40))
    beside = {Segment.OPACITY: b"no lossless WebP", Segment.ICC: zlib.compress(gray_profile())}
    data = container.write(Container(file.header, {**beside, Segment.COLOUR: file.coded_image}))
    said: list[str] = []
    lenient_tab.on("console", lambda message: said.append(message.text))
    image = png_of(lenient_tab, data, region=[10, 20, 50, 30], realism=0)
    assert (image.mode, "icc_profile" in image.info) == ("RGB", False)
    with pytest.warns(RdpWarning):
        whole = rgba(codec.decompress(data, realism=0))
    assert_within_a_level(rgba(image), whole[20:50, 10:60])
    assert [text.split(" is left out")[0] for text in said] == [
        "rdpcodec: the alpha channel",
        "rdpcodec: the ICC profile",
    ]


def test_info_says_realism_as_python_does(tab: Any, codec: Codec, small: Image.Image) -> None:
    """For all steps that a file can hold."""
    data = bytearray(codec.compress(small))
    asked = """async ([file, places]) => {
      const { info } = await import("/rdpcodec.js");
      const bytes = Uint8Array.from(file);
      return places.map((step) => { bytes[11] = step; return info(bytes).realism; });
    }"""
    shown = tab.evaluate(asked, [list(data), list(range(256))])
    assert shown == [container.decimal_realism(step / 255) for step in range(256)]


def test_info_of_another_kind_of_data_is_refused(tab: Any) -> None:
    asked = """async () => {
      const { info } = await import("/rdpcodec.js");
      try { return info(new Blob(["RDP"])); } catch (error) { return `${error.name}: ${error.message}`; }
    }"""
    assert tab.evaluate(asked) == "UsageError: info takes a Uint8Array or an ArrayBuffer"


@pytest.mark.parametrize("options", [{"maxPixels": "many"}, {"maxPixels": 0}, {"region": 5}, {"region": {}}])
def test_options_of_another_kind_are_refused(tab: Any, photo: bytes, options: dict[str, Any]) -> None:
    assert refusal(tab, photo, **options)[0] == "UsageError"
