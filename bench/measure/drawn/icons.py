"""Pixel art and icons: few saturated colours, from 6×6 to 256×256 pixels."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

_PALETTES = (
    ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255), (0, 255, 255)),
    ((15, 56, 15), (48, 98, 48), (139, 172, 15), (155, 188, 15)),
    ((0, 0, 0), (29, 43, 83), (126, 37, 83), (0, 135, 81), (255, 241, 232), (255, 0, 77), (255, 163, 0)),
)


def sprite(seed: int, cells: int, scale: int) -> Image.Image:
    """A symmetrical figure of `cells`² cells, each of `scale`² pixels."""
    random = np.random.default_rng(seed)
    palette = np.array(_PALETTES[seed % len(_PALETTES)], np.uint8)
    half = random.integers(0, len(palette), (cells, -(-cells // 2)))
    half[random.random(half.shape) < 0.4] = 0
    grid = np.concatenate([half, half[:, ::-1][:, cells % 2 :]], 1)
    return Image.fromarray(palette[np.kron(grid, np.ones((scale, scale), int))])


def scene(seed: int) -> Image.Image:
    """A game's landscape: sky, hills, blocks, sprites; 256×192."""
    random = np.random.default_rng(seed)
    palette = np.array(_PALETTES[2], np.uint8)
    grid = np.ones((192, 256), int)
    heights = np.cumsum(random.integers(-2, 3, 64)) + 120
    for column, height in enumerate(heights):
        grid[height:, 4 * column : 4 * column + 4] = 3
        grid[height + 8 :, 4 * column : 4 * column + 4] = 2 + 4 * (column % 2)
    for _ in range(8):
        x, y = 16 * random.integers(0, 15), 16 * random.integers(0, 11)
        grid[y : y + 16, x : x + 16] = np.kron(random.integers(0, 7, (8, 8)), np.ones((2, 2), int))
    return Image.fromarray(palette[grid])


def icon(seed: int, side: int) -> Image.Image:
    """A smooth icon: a rounded square with a sign on it."""
    random, large = np.random.default_rng(seed), 4 * side
    image = Image.new("RGB", (large, large), "white")
    draw = ImageDraw.Draw(image)
    first, second = (f"hsl({random.integers(360)}, 90%, {lightness}%)" for lightness in (45, 92))
    draw.rounded_rectangle((large // 16, large // 16, large * 15 // 16, large * 15 // 16), large // 5, first)
    if seed % 2:
        draw.ellipse((large // 4, large // 4, large * 3 // 4, large * 3 // 4), second)
    else:
        draw.polygon(
            [(large // 3, large // 4), (large * 3 // 4, large // 2), (large // 3, large * 3 // 4)], second
        )
    return image.resize((side, side), Image.Resampling.LANCZOS)


def images() -> dict[str, Image.Image]:
    """Twelve images."""
    sprites = {
        f"sprite-{cells * scale}": sprite(i, cells, scale) for i, (cells, scale) in enumerate(_SPRITES)
    }
    scenes = {f"scene-{seed}": scene(seed) for seed in range(3)}
    return sprites | scenes | {f"icon-{side}": icon(i, side) for i, side in enumerate((16, 48, 128, 256))}


_SPRITES = ((6, 1), (16, 1), (16, 4), (32, 4), (16, 16))
