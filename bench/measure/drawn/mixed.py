"""Mixed pages: photographs with text, frames and interfaces around and over them."""

from __future__ import annotations

from random import Random

from PIL import Image, ImageDraw

from bench.measure.drawn.fonts import font

SIZE = (800, 600)
_TEXT = "A photograph has texture and noise, a page has letters and flat paper; here is one on the other."
# From scikit-image; all four come with the package.
PHOTOGRAPHS = ("astronaut", "coffee", "chelsea", "rocket")


def photograph(name: str) -> Image.Image:
    import skimage.data

    return Image.fromarray(getattr(skimage.data, name)()).convert("RGB")


def article(picture: Image.Image, random: Random) -> Image.Image:
    """A page of two columns with a photograph."""
    image = Image.new("RGB", SIZE, "white")
    draw = ImageDraw.Draw(image)
    draw.text((30, 16), "On pictures in pages", "black", font("serif", 30))
    for column in range(2):
        for line in range(30):
            shift = random.randrange(40)
            draw.text(
                (30 + 390 * column, 70 + 17 * line),
                (_TEXT * 2)[shift : shift + 58],
                "#202020",
                font("serif", 12),
            )
    fitted = picture.resize((360, 240))
    image.paste(fitted, (410, 200))
    return image


def slide(picture: Image.Image, random: Random) -> Image.Image:
    """A photograph that fills the page, with a headline and a panel over it."""
    image = picture.resize(SIZE)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 460, *SIZE), random.choice(("#0b3d91", "#7a1f1f", "#123524")))
    draw.text((30, 476), "Every pixel has a price", "white", font("bold", 34))
    draw.text((30, 530), _TEXT[:70], "#dddddd", font("sans", 16))
    return image


def images() -> dict[str, Image.Image]:
    """Eight images: an article and a slide with each of four photographs."""
    found = {}
    for name in PHOTOGRAPHS:
        picture = photograph(name)
        found[f"article-{name}"] = article(picture, Random(name))
        found[f"slide-{name}"] = slide(picture, Random(name))
    return found
