"""Layers: what is drawn is coded exactly, photographs as before, and more quality is never worse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image, ImageDraw

from rdpcodec import Codec, Target
from rdpcodec.encoder.exact.choice import choose
from rdpcodec.encoder.exact.detector import candidates, is_worth_a_look
from rdpcodec.encoder.fill import smooth_fill
from rdpcodec.encoder.image_encoder import ImageEncoder
from rdpcodec.format import container
from rdpcodec.format.container import Segment
from rdpcodec.format.tiles import Box
from rdpcodec.image import load_image

COLOURS = np.array(
    [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0], [255, 0, 255], [0, 255, 255]], np.uint8
)


def psnr(image: Image.Image, decoded: Image.Image) -> float:
    error = np.square(np.asarray(image, float) - np.asarray(decoded, float)).mean()
    return float(10 * np.log10(255**2 / error)) if error else np.inf


def page() -> Image.Image:
    """Coloured text on white and on colour."""
    image = Image.new("RGB", (320, 160), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 80, 320, 160), fill=(20, 60, 160))
    for i in range(12):
        colour = tuple(int(c) for c in COLOURS[i % 6] // 2)
        draw.text((10 + 12 * (i % 3), 5 + 12 * i), f"Line {i} of a page of text", colour, font_size=11)
    return image


def pixel_art() -> Image.Image:
    grid = np.random.default_rng(0).integers(0, 6, (32, 32))
    return Image.fromarray(COLOURS[np.kron(grid, np.ones((4, 4), int))])


def noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))


def icon() -> Image.Image:
    return Image.fromarray(COLOURS[np.random.default_rng(1).integers(0, 6, (6, 6))])


def smooth_icon() -> Image.Image:
    """A disc of 16×16 with smooth edges: many colours for so few pixels."""
    image = Image.new("RGB", (64, 64), (230, 235, 240))
    ImageDraw.Draw(image).ellipse((6, 6, 57, 57), fill=(140, 20, 60))
    return image.resize((16, 16), Image.Resampling.LANCZOS)


def dots() -> Image.Image:
    """Discs with smooth edges, one over another, in colours of a map."""
    generator, image = np.random.default_rng(2), Image.new("RGB", (640, 480), "white")
    for _ in range(120):
        x, y, radius = generator.integers((0, 0, 6), (640, 480, 40))
        colour = tuple(int(c) for c in generator.integers(0, 256, 3))
        ImageDraw.Draw(image).ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    return image.resize((160, 120), Image.Resampling.BOX)


def gradient() -> Image.Image:
    row = np.linspace(0, 255, 200).astype(np.uint8)
    return Image.fromarray(np.stack([np.tile(row, (90, 1))] * 2 + [np.full((90, 200), 200, np.uint8)], 2))


DRAWN: dict[str, Callable[[], Image.Image]] = {
    "page": page,
    "pixel art": pixel_art,
    "icon": icon,
    "smooth icon": smooth_icon,
    "dots": dots,
    "blue": lambda: Image.new("RGB", (100, 70), (0, 0, 255)),
    "white": lambda: Image.new("RGB", (90, 100), "white"),
    "noise": noise,
    "gradient": gradient,
}


@pytest.fixture(scope="module")
def coded(codec: Codec) -> Callable[[str, float], bytes]:
    """The file of one of `DRAWN` at a quality, made once."""
    return cache(lambda kind, quality: codec.compress(DRAWN[kind](), quality))


@pytest.mark.parametrize("kind", sorted(DRAWN))
def test_more_quality_is_never_worse(codec: Codec, coded: Callable[[str, float], bytes], kind: str) -> None:
    image = DRAWN[kind]()
    measured = [psnr(image, codec.decompress(coded(kind, q))) for q in (0, 20, 40, 60, 80, 90, 100)]
    for low, high in pairwise(measured):
        assert high >= low - 0.25, measured


@pytest.mark.parametrize("kind", ["page", "pixel art", "icon", "smooth icon", "dots", "blue", "white"])
def test_what_is_drawn_is_exact_at_quality_100(
    codec: Codec, coded: Callable[[str, float], bytes], kind: str
) -> None:
    image = DRAWN[kind]()
    for realism in (0.0, 1.0):
        decoded = codec.decompress(coded(kind, 100), realism=realism)
        np.testing.assert_array_equal(np.asarray(decoded), np.asarray(image))


@pytest.mark.parametrize(("quality", "floor"), [(90, 30), (100, 32)])
@pytest.mark.parametrize("kind", sorted(DRAWN))
def test_there_is_a_floor(
    codec: Codec, coded: Callable[[str, float], bytes], kind: str, quality: float, floor: float
) -> None:
    assert psnr(DRAWN[kind](), codec.decompress(coded(kind, quality))) >= floor


def test_the_noise_of_a_photograph_in_few_colours_is_kept_at_high_quality_only(
    codec: Codec, photograph: Image.Image
) -> None:
    image = photograph.crop((0, 0, 256, 192)).convert("P").convert("RGB")
    lossless = codec.compress(image, 100)
    np.testing.assert_array_equal(np.asarray(codec.decompress(lossless)), np.asarray(image))
    assert len(codec.compress(image, 50)) < len(lossless) / 2


def test_a_photograph_has_no_exact_layer(codec: Codec, photograph: Image.Image) -> None:
    for quality in (10, 50, 100):
        assert not is_worth_a_look(np.asarray(photograph), quality)
    file = container.read(codec.compress(photograph, 60))
    assert file.segments.keys() == {Segment.COLOUR}
    assert file.version == 1


@pytest.fixture(scope="module")
def mixed(photograph: Image.Image) -> Image.Image:
    """A page of two tiles with a photograph on it."""
    image = Image.new("RGB", (1200, 300), "white")
    image.paste(photograph.crop((0, 0, 500, 280)), (8, 8))
    image.paste(page(), (600, 100))
    return image


@pytest.fixture(scope="module")
def mixed_file(codec: Codec, mixed: Image.Image) -> bytes:
    return codec.compress(mixed, 50)


def test_a_page_with_a_photograph_has_both(codec: Codec, mixed: Image.Image, mixed_file: bytes) -> None:
    file, decoded = container.read(mixed_file), codec.decompress(mixed_file)
    assert file.version == 2
    assert len(file.segments[Segment.EXACT]) > 1000
    assert len(file.coded_image) > 1000
    text = (600, 100, 920, 260)
    assert psnr(mixed.crop(text), decoded.crop(text)) > 30
    white = np.asarray(decoded.crop((520, 0, 600, 300)))
    assert (white == 255).mean() > 0.9


@pytest.mark.parametrize(("quality", "effort"), [(30, 0), (30, 1), (90, 0)])
@pytest.mark.parametrize("drawing", [pixel_art, lambda: Image.new("RGB", (64, 64), "white")])
def test_beside_a_tile_that_is_exact_entirely_a_photograph_has_no_seam(
    codec: Codec,
    photograph: Image.Image,
    drawing: Callable[[], Image.Image],
    quality: float,
    effort: int,
) -> None:
    """Two tiles of 576 pixels: a drawing, and a photograph that is as good at its edge as it is alone."""
    photograph = photograph.crop((20, 150, 596, 214))
    image = Image.new("RGB", (1152, 64))
    image.paste(drawing().resize((576, 576), Image.Resampling.NEAREST), (0, 0))
    image.paste(photograph, (576, 0))
    data = codec.compress(image, quality, effort=effort)
    beside = codec.decompress(data).crop((576, 0, 1152, 64))
    alone = codec.decompress(codec.compress(photograph, quality, effort=effort))
    edge = (0, 0, 4, 64)
    assert psnr(image.crop((0, 0, 576, 64)), codec.decompress(data).crop((0, 0, 576, 64))) == np.inf
    assert psnr(photograph.crop(edge), beside.crop(edge)) > psnr(photograph.crop(edge), alone.crop(edge)) - 1


@pytest.mark.parametrize("quality", [0, 50, 100])
def test_one_colour_comes_back_in_a_few_bytes(codec: Codec, quality: float) -> None:
    image = Image.new("RGB", (1100, 1030), (30, 200, 90))
    data = codec.compress(image, quality)
    assert len(data) < 256
    assert codec.decompress(data).getcolors() == [(1100 * 1030, (30, 200, 90))]


def test_a_region_is_a_part_of_the_whole(codec: Codec, mixed_file: bytes) -> None:
    whole = np.asarray(codec.decompress(mixed_file, realism=0.5))
    for left, top, width, height in ((0, 0, 30, 30), (560, 90, 200, 150), (1100, 10, 100, 290)):
        part = codec.decompress(mixed_file, realism=0.5, region=(left, top, width, height))
        difference = np.asarray(part, int) - whole[top : top + height, left : left + width]
        assert np.abs(difference).max() <= 1


def test_a_batch_may_mix_drawn_and_photographed(codec: Codec, photograph: Image.Image) -> None:
    images = [photograph.crop((0, 0, 320, 160)), page(), photograph.crop((100, 100, 420, 260))]
    together = codec.compress_batch(images)
    for image, decoded in zip(images, codec.decompress_batch(together), strict=True):
        alone = codec.decompress(codec.compress(image))
        assert np.abs(np.asarray(decoded, int) - np.asarray(alone)).max() <= 1


@pytest.mark.filterwarnings("ignore::rdpcodec.errors.TargetWarning")  # blocks change layers: errors jump
def test_targets_effort_and_automatic_realism_know_the_layer(codec: Codec, mixed: Image.Image) -> None:
    piece = mixed.crop((476, 100, 668, 164))
    decoded = codec.decompress(codec.compress(piece, Target.psnr(33)))
    assert psnr(piece, decoded) >= 33
    data = codec.compress(piece, Target.size("2kB"), realism="auto", effort=1)
    assert len(data) <= 2000
    files = list(zip(range(3), codec.efforts(piece, 40), strict=False))
    assert all(container.read(file).version == 2 for _, file in files)


def test_a_few_colours_make_all_blocks_candidates(photograph: Image.Image) -> None:
    assert candidates(np.asarray(pixel_art()), 0).blocks.all()
    assert candidates(np.asarray(photograph), 50).blocks.mean() < 0.1


def test_a_block_goes_where_it_costs_less() -> None:
    """The left half is drawn; what the networks made of the right half is free and perfect."""
    pixels = np.asarray(page().crop((0, 0, 128, 64)))
    bits = np.zeros((4, 8))
    bits[:, :4] = 1e6
    choice = choose(pixels, pixels, bits, 50)
    chosen = choice.best(choice.errors(pixels, pixels))
    assert chosen.mask[:, :64].all()
    assert not chosen.mask[:, 64:].any()
    # The networks' part was no bargain after all.
    assert choice.best(1e7).mask.all()


def test_what_a_tile_costs_besides_is_saved_only_where_all_of_it_is_exact() -> None:
    """As above, but networks that code any pixel of a tile need its hyper-latents, too."""
    pixels = np.asarray(page().crop((0, 0, 128, 64)))
    bits = np.zeros((4, 8))
    bits[:, :4] = 1e6
    assert choose(pixels, pixels, bits, 50, beside=0.0).divides
    dear = choose(pixels, pixels, bits, 50, beside=1e7)
    assert dear.some.mask.all()
    assert dear.best(0.0).mask.all()


def test_a_small_photograph_on_a_page_is_exact_where_networks_are_dearer(photograph: Image.Image) -> None:
    """It is not a drawing, but then nothing is left for the networks to code."""
    image = Image.new("RGB", (320, 288))
    for top in (0, 160):
        image.paste(page(), (0, top))
    image.paste(photograph.crop((200, 100, 344, 244)), (80, 80))
    pixels = np.asarray(image)
    assert 0.75 < candidates(pixels, 50).blocks.mean() < 1
    bits = np.full((18, 20), 1e5)
    assert choose(pixels, pixels, bits, 50).some.mask.all()
    bits[5:14, 5:14] = 0
    assert choose(pixels, pixels, bits, 50).divides


def test_a_drawing_ends_where_it_ends_and_not_at_a_block(photograph: Image.Image) -> None:
    """Pixel art beside a photograph, where the networks miss all of the former and hit the latter."""
    pixels = np.array(photograph.crop((200, 100, 328, 164)))
    pixels[:, :24] = np.asarray(pixel_art())[:64, :24]
    decoded = pixels.copy()
    decoded[:, :24] = 128
    mask = choose(pixels, decoded, np.full((4, 8), 100.0), 80).some.mask
    assert mask[:, :24].all()
    assert mask[:, 24:].mean() < 0.01


@pytest.mark.parametrize("quality", [0, 40, 100])
def test_the_bits_of_all_positions_are_those_of_the_tile(
    codec: Codec, photograph: Image.Image, quality: float
) -> None:
    """Except for the hyper-latents, which belong to no position."""
    ((symbols,),) = codec.analyse([load_image(photograph.crop((0, 0, 200, 120)))], quality)
    tiles, plain = codec.tile_codec, replace(symbols, residual=np.zeros_like(symbols.residual))
    bits, of_zeros = (tiles.bits_by_position(found) for found in (symbols, plain))
    assert bits.shape == symbols.residual.shape[1:]
    coded, coded_zeros = (8 * len(tiles.encode(found, quality)) for found in (symbols, plain))
    assert float(bits.sum() - of_zeros.sum()) == pytest.approx(coded - coded_zeros, rel=0.02, abs=40)


def test_a_photograph_of_which_the_networks_say_nothing_is_still_a_file(
    codec: Codec, photograph: Image.Image
) -> None:
    """Blank latents are left out of a file only where the exact layer has all pixels."""
    image = load_image(photograph.crop((200, 100, 296, 164)))
    blank = codec.tile_codec.blank(Box(0, 0, *image.size), 50)
    assert blank.blank
    data = ImageEncoder(codec.tile_codec, codec.weights, image).encode_symbols([blank], 50, 0, 0)
    ((found,),) = codec.decode_symbols([container.read(data)])
    assert found.blank
    assert codec.decompress(data).size == image.size


@pytest.mark.parametrize(("across", "down"), [(2.5, 0), (0, 3), (1, 1.5)])
def test_a_gradient_goes_on_through_its_holes(across: float, down: float) -> None:
    """With a quarter of its pixels known, the others are off by less than two levels."""
    y, x = np.mgrid[:80, :96]
    levels = (across * x + down * y).round().clip(0, 255).astype(np.uint8)
    pixels = np.repeat(levels[..., None], 3, axis=2)
    known = np.random.default_rng(0).random(levels.shape) < 0.25
    filled = smooth_fill(pixels, known)
    assert np.sqrt(np.square(filled - pixels.astype(float))[~known].mean()) < 2


def test_holes_are_filled_smoothly(photograph: Image.Image) -> None:
    pixels = np.asarray(photograph.crop((0, 0, 96, 80)))
    known = np.ones((80, 96), bool)
    known[16:64, 32:80] = False
    filled = smooth_fill(pixels, known)
    np.testing.assert_array_equal(filled[known], pixels[known])
    inside = filled[24:56, 40:72].astype(int)
    assert np.abs(np.diff(inside, axis=0)).mean() < 1
    flat = np.full((33, 47, 3), 90, np.uint8)
    np.testing.assert_array_equal(smooth_fill(flat, np.random.default_rng(0).random((33, 47)) < 0.3), flat)
