from __future__ import annotations

import base64
import dataclasses
import io
import json
import re
from pathlib import Path
from typing import Any

import click
import gaussian
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bench.__main__ import bench
from bench.analysis.measured import image_weights, load_measured
from bench.analysis.planes import PLANE_RATES
from bench.codecs import weights_identity
from bench.report.charts import Axis
from bench.report.crops import SIZE, Crop
from bench.report.headlines import headlines
from bench.report.report import bd_rate_table, content, page_text, published_curves
from rdpcodec import Codec


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The content of a report on Gaussians: ours, AVIF a little worse, JPEG with 1.3 times the bits."""
    folder = tmp_path_factory.mktemp("gaussian")
    ours = load_measured(gaussian.write(folder))
    avif = load_measured(gaussian.write(folder, name="avif", realisms=None, mse=1.1))
    jpeg = load_measured(gaussian.write(folder, name="jpeg", realisms=None, bpp=1.3))
    return content(ours, [avif, jpeg])


@pytest.mark.filterwarnings("error")
def test_a_codec_whose_last_setting_is_lossless_has_a_report(tmp_path: Path) -> None:
    """Equal images are at no distance, which octaves cannot show; rounding may leave a little less than 0."""
    record = gaussian.record(name="webp", realisms=None)
    for points in record["images"].values():
        points["80"] |= {"lpips_alex": 0.0}
    record["points"]["80"] |= {"frechet": -1e-13, "kernel": 0.0}
    (tmp_path / "webp.json").write_text(json.dumps(record))
    ours = load_measured(gaussian.write(tmp_path))
    found = content(ours, [load_measured(tmp_path / "webp.json")])
    last = found["codecs"][1]["points"][-1]
    assert (last["lpips_alex"], last["interval"]["lpips_alex"]) == (0, [0, 0])
    planes = [{m["label"] for m in plane["methods"]} for plane in found["planes"]["lpips_alex"]]
    # Up to the last point with errors, nothing is missing; beyond it, nothing is known.
    assert ["WebP" in labels for labels in planes] == [0.08 <= rate <= 0.6 for rate in PLANE_RATES]


def test_answers_to_the_labels_of_some_images_are_left_out(tmp_path: Path) -> None:
    record = gaussian.record(name="webp", realisms=None)
    for facts in record["images"]["00.png"].values():
        facts["top1"] = 1.0
    (tmp_path / "webp.json").write_text(json.dumps(record))
    assert not load_measured(tmp_path / "webp.json").has("top1")


def test_bd_rates_of_codecs_a_factor_apart_are_that_factor(figures: dict[str, Any]) -> None:
    rows = {row["label"]: row["cells"] for row in figures["bd_rates"]["rows"]}
    columns = [(column["metric"], column["realism"]) for column in figures["bd_rates"]["columns"]]
    assert columns == [
        (metric, realism) for realism in (0, 1) for metric in ("psnr", "ms_ssim", "lpips_alex")
    ]
    for cell in rows["JPEG"][:3]:
        assert cell["value"] == pytest.approx(100 * (1 / 1.3 - 1), abs=0.2)
        assert cell["interval"] == pytest.approx([cell["value"]] * 2, abs=0.5)
    assert rows["AVIF"][2]["value"] == pytest.approx(0, abs=0.01)
    assert rows["JPEG"][3]["value"] > rows["JPEG"][0]["value"]


def test_in_each_plane_the_better_in_both_dominates_and_only_it(figures: dict[str, Any]) -> None:
    plane = figures["planes"]["lpips_alex"][list(PLANE_RATES).index(0.35)]
    names = [(m["label"], m["realism"]) for m in plane["methods"]]
    found = {(names[a], names[b]) for a, b, _ in plane["dominance"]}
    assert (("rdpcodec", 0.0), ("JPEG", 0.0)) in found  # fewer bits for the same
    assert (("rdpcodec", 0.25), ("AVIF", 0.0)) in found
    assert not {(a, b) for a, b in found if (b, a) in found}
    assert not {a for a, b in found if a[0] == b[0]}  # no realism beats another in both
    assert all(share > 0.97 for a, b, share in plane["dominance"])


def test_published_curves_appear_beside_their_test_set_and_no_other(tmp_path: Path) -> None:
    kodak = load_measured(gaussian.write(tmp_path / "a", images=24, data="kodak"))
    assert {"VTM", "mbt2018-mean", "MS-ILLM"} <= {curve["label"] for curve in published_curves(kodak)}
    rows = bd_rate_table(kodak, [], published_curves(kodak), image_weights(24))["rows"]
    assert {row["label"] for row in rows if row["published"]} >= {"VTM", "HiFiC"}
    capital = load_measured(gaussian.write(tmp_path / "d", images=24, data="Kodak-PNG"))
    assert published_curves(capital) == published_curves(kodak)
    assert published_curves(load_measured(gaussian.write(tmp_path / "b", images=23, data="kodak"))) == []
    assert published_curves(load_measured(gaussian.write(tmp_path / "c", images=24, data="mine"))) == []


def test_every_published_curve_names_its_source_and_rises(tmp_path: Path) -> None:
    for name, images in (("kodak", 24), ("clic2020", 428)):
        measured = load_measured(gaussian.write(tmp_path / name, images=images, data=name))
        for curve in published_curves(measured):
            assert re.fullmatch(r"[\w.-]+/[\w.-]+(@\w+)?:[\w./-]+", curve["description"])
            points = curve["points"]
            assert all(a["bpp"] < b["bpp"] and a["psnr"] < b["psnr"] for a, b in zip(points, points[1:]))  # noqa: B905, RUF007


def test_the_page_needs_nothing_from_elsewhere_and_no_name_ends_its_script(figures: dict[str, Any]) -> None:
    text = page_text({**figures, "title": "</script><b>"}, [])
    assert text.count("</script>") == 2
    assert not re.search(r"""(src|href)=["']?(?!data:|#)\w""", text)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)
    assert "@import" not in text


def test_headlines_say_what_avif_costs_and_what_realism_changes(figures: dict[str, Any]) -> None:
    found = {row["label"]: row for row in figures["headlines"]}
    avif = next(row for row in figures["bd_rates"]["rows"] if row["label"] == "AVIF")
    assert found["Bytes against AVIF"]["value"] == avif["cells"][0]["value"] < -5
    (mse, mse_1), (perception, perception_1) = zip(
        *(gaussian.unit(gaussian.BPP, np.array(realism)) for realism in (0, 1)), strict=True
    )
    cost = 10 * np.log10(mse_1 / mse).mean()
    assert found["PSNR cost of realism 1"]["value"] == pytest.approx(cost, rel=1e-4)
    lpips, lpips_1 = (gaussian.FLOOR + gaussian.SLOPE * p for p in (perception, perception_1))
    change = 100 * (np.exp(np.log(lpips_1 / lpips).mean()) - 1)
    assert found["LPIPS at realism 1"]["value"] == pytest.approx(change, rel=1e-4)
    volume = figures["volumes"]["lpips_alex"]["rows"][0]
    assert found["Volume under the surface"]["value"] == volume["value"]


def test_the_energy_of_the_finest_band_is_that_at_realism_1(tmp_path: Path) -> None:
    ours = load_measured(gaussian.write(tmp_path))
    energy = np.broadcast_to(0.4 + 0.5 * ours.realisms, ours.values["mse"].shape)
    ours = dataclasses.replace(ours, values={**ours.values, "energy_1": energy})
    found = headlines(ours, {}, {"rows": [], "columns": []}, image_weights(8, 20))[-1]
    assert "Energy" in found["label"]
    assert [found["value"], *found["interval"]] == pytest.approx([0.9] * 3)


def test_the_headline_names_the_realisms_that_were_measured(tmp_path: Path) -> None:
    ours = load_measured(gaussian.write(tmp_path, realisms=(0.25, 0.5)))
    avif = load_measured(gaussian.write(tmp_path, name="avif", realisms=None, mse=1.1))
    found = {line["label"]: line["note"] for line in content(ours, [avif])["headlines"]}
    assert found["PSNR cost of realism 0.5"] == "against realism 0.25, mean over qualities"
    assert found["Bytes against AVIF"] == "BD-rate, PSNR, realism 0.25"


def test_every_interval_holds_what_it_is_of(figures: dict[str, Any]) -> None:
    for codec in figures["codecs"]:
        for point in codec["points"]:
            for metric, (low, high) in point["interval"].items():
                assert low <= point[metric] <= high, (codec["label"], metric, point)
    methods = [m for planes in figures["planes"].values() for plane in planes for m in plane["methods"]]
    assert len(methods) > 50
    for method in methods:
        for measure in ("psnr", "perception"):
            low, high = method[f"{measure}_interval"]
            assert low <= method[measure] <= high, method


def test_the_drawn_surface_goes_through_what_was_measured(figures: dict[str, Any]) -> None:
    measured = {(point["quality"], point["realism"]): point for point in figures["codecs"][0]["points"]}
    assert figures["mesh"].keys() == {"lpips_alex", "kernel", "frechet"}
    for key, mesh in figures["mesh"].items():
        for q, quality in ((0, 5.0), (-1, 80.0)):
            for b, realism in enumerate(gaussian.REALISMS):
                point = measured[quality, realism]
                found = [mesh["psnr"][q][4 * b], mesh["perception"][q][4 * b], mesh["bpp"][q]]
                assert found == pytest.approx([point["psnr"], point[key], point["bpp"]], rel=1e-5)


def charts(figures: dict[str, Any]) -> list[dict[str, Any]]:
    """All charts of a report's figures."""
    found = [figures["psnr"], figures["ms_ssim"], *figures["eyes"]]
    for measure in figures["measures"].values():
        names = ("rate_perception", "equal_perception", "equal_distortion")
        found += [*measure["planes"], *(measure[name] for name in names)]
    return [chart for chart in found if chart["series"]]


def test_axes_hold_all_points_with_their_intervals_and_have_ticks(figures: dict[str, Any]) -> None:
    assert len(charts(figures["figures"])) > 20
    for chart in charts(figures["figures"]):
        for name in "xy":
            low, high = chart[name]["domain"]
            assert len(chart[name]["ticks"]) >= 2
            assert all(low <= tick <= high for tick in chart[name]["ticks"])
            for point in (point for series in chart["series"] for point in series["points"]):
                least, most = point[f"{name}_range"] or (point[name],) * 2
                assert low <= least <= point[name] <= most <= high, (chart["title"], point)


def test_crops_are_named_by_file_and_corner() -> None:
    assert Crop.parse("a.png") == Crop("a.png")
    assert Crop.parse("a.png@120,80").box((1000, 1000)) == (120, 80, 504, 336)
    assert Crop("a.png").box((1000, 1000)) == (308, 372, 692, 628)
    for text in ("a.png@120", "a.png@x,y", "a.png@1,2,3"):
        with pytest.raises(click.BadParameter, match="NAME@X,Y"):
            Crop.parse(text)


@given(st.integers(1, 2000), st.integers(1, 2000), st.none() | st.tuples(*[st.integers(0, 3000)] * 2))
def test_a_crop_lies_inside_of_its_image(width: int, height: int, corner: tuple[int, int] | None) -> None:
    left, upper, right, lower = Crop("a.png", corner).box((width, height))
    assert 0 <= left < right <= width
    assert 0 <= upper < lower <= height
    assert (right - left, lower - upper) == (min(width, SIZE[0]), min(height, SIZE[1]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, codec: Codec) -> Path:
    """Made-up results of two images; the images are there too, to be coded with the real codec."""
    folder = tmp_path_factory.mktemp("results")
    photograph = Image.open(Path(__file__).parents[3] / "docs" / "demo" / "coffee.png").convert("RGB")
    (folder / "data").mkdir()
    for i, name in enumerate(("00.png", "01.png")):
        photograph.crop((100 * i, 60, 100 * i + 200, 240)).save(folder / "data" / name)
    gaussian.write(folder, images=2, realisms=(0.0,), description=f"{weights_identity(codec)}, cpu")
    return folder


@pytest.mark.usefixtures("quick_avif")
def test_the_command_writes_a_page_with_the_images_and_its_figures(folder: Path) -> None:
    words = ["report", "page", str(folder), "--data", str(folder / "data"), "--image", "01.png@10,10"]
    result = CliRunner().invoke(bench, words)
    assert result.exit_code == 0, result.output
    assert "holds" in result.output
    data = embedded((folder / "report.html").read_text())
    (crop,) = data["crops"]
    assert crop["name"] == "01.png"
    assert crop["crop"] == [0, 0, 200, 180]
    sizes = [row[0]["bytes"] for row in crop["ours"]]
    assert sizes == sorted(sizes)
    for (ours,), avif in zip(crop["ours"][2:], crop["avif"][2:], strict=True):
        assert 0.7 * ours["bytes"] < avif["bytes"] <= ours["bytes"]
    shown = [pixels(row[0]["image"]) for row in crop["ours"]]
    errors = [float(np.abs(image - pixels(crop["original"])).mean()) for image in shown]
    assert errors == sorted(errors, reverse=True)
    pngs = {path.name: Image.open(path).width for path in (folder / "figures").iterdir()}
    assert pngs.keys() == {
        f"{name}.png" for name in ("surface", "rate-distortion", "rate-perception", "perception-distortion")
    }
    assert min(pngs.values()) > 400


@pytest.mark.parametrize(
    ("images", "warning"), [(1, "a single image"), (3, "only 3 images"), (10, "")], ids=["1", "3", "10"]
)
def test_intervals_of_few_images_are_said_to_be_short(tmp_path: Path, images: int, warning: str) -> None:
    gaussian.write(tmp_path, images=images)
    result = CliRunner().invoke(bench, ["report", "page", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert ("the real intervals are wider" in result.output) == bool(warning)
    assert warning in result.output


def test_other_weights_and_unknown_images_are_refused(folder: Path, tmp_path: Path) -> None:
    words = ["report", "page", str(folder), "--data", str(folder / "data"), "--image", "02.png"]
    result = CliRunner().invoke(bench, words)
    assert result.exit_code
    assert "not among the images that were measured" in result.output
    gaussian.write(tmp_path, images=2, realisms=(0.0,))
    result = CliRunner().invoke(bench, ["report", "page", str(tmp_path), "--data", str(folder / "data")])
    assert result.exit_code
    assert "measured with a Gaussian source" in result.output
    assert not (tmp_path / "report.html").exists()


def test_codecs_that_were_measured_on_other_images_are_refused(tmp_path: Path) -> None:
    """There are as many images, but one of them differs."""
    gaussian.write(tmp_path)
    gaussian.write(tmp_path, name="avif", realisms=None)
    jpeg = gaussian.write(tmp_path, name="jpeg", realisms=None)
    jpeg.write_text(jpeg.read_text().replace("03.png", "other.png"))
    result = CliRunner().invoke(bench, ["report", "page", str(tmp_path)])
    assert (result.exit_code, "jpeg.json: measured on other images" in result.output) == (1, True)
    assert not (tmp_path / "report.html").exists()


def embedded(text: str) -> dict[str, Any]:
    """The data inside a page."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])


def pixels(url: str) -> np.ndarray:
    """The pixels of a data URL."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))), float)


@pytest.mark.parametrize("ends", [(0.0201, 0.0204), (1.1, 1.2), (0.3, 0.4), (5.0, 900.0), (1e-9, 1e6)])
def test_a_logarithmic_axis_has_ticks_however_little_it_spans(ends: tuple[float, float]) -> None:
    axis = Axis("Measure", log=True).holding(ends)
    assert 2 <= len(axis.ticks) <= 8
    assert axis.domain[0] <= axis.ticks[0] < axis.ticks[-1] <= axis.domain[1]


# In a browser.


def flat(colour: tuple[int, int, int]) -> dict[str, Any]:
    buffer = io.BytesIO()
    Image.new("RGB", (96, 64), colour).save(buffer, "PNG")
    url = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    return {"image": url, "bytes": sum(colour), "bpp": 0.5, "psnr": 30.0, "ms_ssim": 0.9}


@pytest.fixture(scope="module")
def html(figures: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page whose crops show by their colour which image, quality and realism they are."""
    crops = [
        {
            "name": f"{p}.png",
            "size": [96, 64],
            "crop": [0, 0, 96, 64],
            "original": flat((p, 0, 255))["image"],
            "ours": [[flat((p, 40 * q, 40 * b)) for b in range(5)] for q in range(5)],
            "avif": [flat((p, 40 * q, 200)) for q in range(5)],
        }
        for p in range(2)
    ]
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page_text(figures, crops), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def opened(view: Any, html: str) -> Any:
    view.goto(html)
    return view


COLOUR = """name => {
  const image = document.getElementById(name), canvas = document.createElement("canvas");
  const pen = canvas.getContext("2d");
  pen.drawImage(image, 0, 0);
  return [...pen.getImageData(5, 5, 1, 1).data].slice(0, 3);
}"""


def colour(view: Any, name: str) -> list[int]:
    view.wait_for_function(f"document.getElementById('{name}').complete")
    return view.evaluate(COLOUR, name)


def test_turning_a_dial_shows_the_image_of_that_point(opened: Any) -> None:
    opened.locator("#quality").focus()
    opened.keyboard.press("Home")
    assert colour(opened, "ours-image") == [0, 0, 0]
    opened.keyboard.press("End")
    assert colour(opened, "ours-image") == [0, 160, 0]
    assert colour(opened, "avif-image") == [0, 160, 200]
    box = opened.locator("#realism").bounding_box()
    opened.mouse.move(box["x"] + 8, box["y"] + box["height"] / 2)
    opened.mouse.down()
    opened.mouse.move(box["x"] + box["width"] - 8, box["y"] + box["height"] / 2, steps=4)
    opened.mouse.up()
    assert colour(opened, "ours-image") == [0, 160, 160]
    assert opened.locator("#realism-value").inner_text() == "1"
    assert opened.locator("#quality-value").inner_text() == "80"
    assert "320 bytes" in opened.locator("#pane-ours").inner_text()
    opened.get_by_role("button", name="1.png").click()
    assert colour(opened, "ours-image") == [1, 160, 160]
    assert colour(opened, "original-image") == [1, 0, 255]


def test_the_surface_turns_under_the_mouse_and_the_arrow_keys(opened: Any) -> None:
    space = opened.locator("#space")
    space.scroll_into_view_if_needed()

    def pixels() -> str:
        opened.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return opened.evaluate("document.getElementById('space').toDataURL()")

    views = [pixels()]
    box = space.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    opened.mouse.move(x, y)
    opened.mouse.down()
    opened.mouse.move(x + 90, y + 30, steps=3)
    opened.mouse.up()
    views.append(pixels())
    space.focus()
    opened.keyboard.press("ArrowLeft")
    views.append(pixels())
    assert len(set(views)) == 3
    opened.get_by_role("button", name="Reset the view").click()
    assert pixels() == views[0]


def test_every_measure_draws_all_charts(opened: Any, figures: dict[str, Any]) -> None:
    for measure in figures["measures"]:
        opened.locator("#measure").select_option(measure["key"])
        assert opened.locator("main svg").count() == 6
        assert opened.locator("#perception-chart").inner_text().count(measure["label"]) == 1
        assert "NaN" not in opened.locator("main").inner_html()


def written(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}".replace("-", "−")


def percent(value: float) -> str:
    return "+" * (value > 0) + f"{written(value, 1)} %"


def test_words_and_tables_say_the_figures(opened: Any, figures: dict[str, Any]) -> None:
    text = opened.locator("#headlines").inner_text()
    for row in figures["headlines"]:
        value = {
            "%": percent(row["value"]),
            "dB": f"{written(row['value'], 2)} dB",
            "": written(row["value"], 3),
        }
        assert re.search(rf"{row['label']}\s+{re.escape(value[row['unit']])}", text), (row, text)
    lines = opened.locator("#bd-rates tbody tr").all_inner_texts()
    for row, line in zip(figures["bd_rates"]["rows"], lines, strict=True):
        label, *cells = line.split("\t")
        assert label == row["label"]
        for cell, rate in zip(cells, row["cells"], strict=True):
            figure = "–"  # where curves share no quality
            if rate["interval"]:
                figure = "{} ({} to {})".format(*map(percent, (rate["value"], *rate["interval"])))
            assert cell == figure
    lines = opened.locator("#volumes tbody tr").all_inner_texts()
    for row, line in zip(figures["volumes"]["lpips_alex"]["rows"], lines, strict=True):
        assert line.startswith(f"{row['label']}\t{written(row['value'], 4)} (")


def test_the_legend_switches_a_codec_off_and_on(opened: Any) -> None:
    lines = opened.locator("#psnr-chart svg path[stroke]")
    before, legend = lines.count(), opened.locator("#curve-legend").get_by_role("button", name="AVIF")
    for pressed, count in (("false", before - 1), ("true", before)):
        legend.click()
        assert (legend.get_attribute("aria-pressed"), lines.count()) == (pressed, count)


def test_the_rate_dial_cuts_the_plane_elsewhere(opened: Any) -> None:
    rate = opened.locator("#rate")
    rate.focus()
    opened.keyboard.press("Home")
    for _ in range(4):
        opened.keyboard.press("ArrowRight")
    assert opened.locator("#rate-value").inner_text() == "0.35 bits per pixel"
    text = opened.locator("#dominance").inner_text()
    assert re.search(r"rdpcodec, realism 0\.25\s+dominates AVIF 100 %, JPEG 100 %", text)


@pytest.mark.parametrize("width", [400, 800, 1600])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_its_window(opened: Any, width: int, scheme: str) -> None:
    opened.emulate_media(color_scheme=scheme)
    opened.set_viewport_size({"width": width, "height": 900})
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    light = sum(
        map(int, re.findall(r"\d+", opened.evaluate("getComputedStyle(document.body).backgroundColor")))
    )
    assert (light > 600) == (scheme == "light")


def test_without_a_realism_dial_the_page_says_so(browser: Any, tmp_path: Path) -> None:
    ours = load_measured(gaussian.write(tmp_path, realisms=(0.0,)))
    path = tmp_path / "report.html"
    path.write_text(page_text(content(ours, []), []), encoding="utf-8")
    view = browser.new_page()
    wrong: list[str] = []
    view.on("pageerror", lambda error: wrong.append(str(error)))
    view.goto(path.as_uri())
    assert view.locator("#no-contours").is_visible()
    assert not view.locator("#equal-perception").is_visible()
    assert not view.locator("#browser").is_visible()
    assert "not measured" in view.locator("#checks").inner_text()
    assert view.locator("#psnr-chart svg").is_visible()
    assert wrong == []
    view.close()
