"""Text in twelve scripts, at sizes from 9 to 40 pixels, black and coloured."""

from __future__ import annotations

from random import Random

from PIL import Image, ImageDraw

from bench.measure.drawn.fonts import font

# The beginning of the first article of the Universal Declaration of Human Rights, or the name of the script.
SCRIPTS = {
    "latin": ("sans", "All human beings are born free and equal in dignity and rights."),
    "greek": ("serif", "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια."),
    "cyrillic": ("sans", "Все люди рождаются свободными и равными в своём достоинстве."),
    "armenian": ("sans", "Բոլոր մարդիկ ծնվում են ազատ ու հավասար իրենց արժանապատվությամբ։"),
    "georgian": ("serif", "ყველა ადამიანი იბადება თავისუფალი და თანასწორი თავისი ღირსებით."),
    "hebrew": ("sans", "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם."),
    "arabic": ("sans", "يولد جميع الناس أحراراً متساوين في الكرامة والحقوق."),
    "lao": ("sans", "ມະນຸດທຸກຄົນເກີດມາມີກຽດສັກສີ ສິດທິ"),
    "tifinagh": ("sans", "ⵉⵎⴷⴰⵏⴻⵏ ⴰⴽⴽⴻⵏ ⵎⴰ ⵍⵍⴰⵏ ⵜⵜⵍⴰⵍⴻⵏ ⴷ ⵉⵍⴻⵍⵍⵉⵢⴻⵏ"),
    "korean": ("east", "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다."),
    "chinese": ("east", "人人生而自由在尊嚴和權利上一律平等"),
    "japanese": ("east", "すべての人間は生まれながらにして自由でありかつ平等である"),
}
_GROUNDS = ("#ffffff", "#ffffff", "#fdf6e3", "#1e1e2e", "#e8f0fe", "#2b5d34")
_INKS = {
    "dark": ("#000000", "#222222", "#0645ad", "#b00020"),
    "light": ("#ffffff", "#f9e2af", "#89b4fa", "#a6e3a1"),
}


def page(script: str, seed: int) -> Image.Image:
    """A page of one script in paragraphs of several sizes and colours, 512×384."""
    random = Random(seed)
    ground = _GROUNDS[seed % len(_GROUNDS)]
    image = Image.new("RGB", (512, 384), ground)
    draw = ImageDraw.Draw(image)
    inks = _INKS["light" if ground in ("#1e1e2e", "#2b5d34") else "dark"]
    face, sentence = SCRIPTS[script]
    y = 10
    while y < image.height:
        size, ink = random.choice((9, 11, 12, 13, 14, 16, 20, 28, 40)), random.choice(inks)
        for _ in range(random.randint(1, 4)):
            shift = random.randrange(len(sentence))
            draw.text((12, y), sentence[shift:] + " " + sentence[:shift], ink, font(face, size))
            y += round(1.45 * size)
    return image


def images() -> dict[str, Image.Image]:
    """Twelve pages, by script."""
    return {script: page(script, seed) for seed, script in enumerate(SCRIPTS)}
