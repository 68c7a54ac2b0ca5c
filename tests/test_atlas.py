"""The interactive atlas of the documentation: sliders, panels, address and button, in a headless browser."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
STATIC = DOCS / "_static"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
ATLAS = json.loads((STATIC / "atlas-data.js").read_text().removeprefix("const ATLAS = ").rstrip().removesuffix(";"))
MOVES = """<script>
const seen = [];
function look() {
  seen.push({
    address: location.hash,
    gains: [...document.querySelectorAll("#atlas-matrix rect + text")].map((cell) => cell.textContent),
    dots: document.querySelectorAll("#atlas-spectrum .dot").length,
    edge: document.querySelector("#atlas-spectrum .edge").getAttribute("r"),
    curves: [...document.querySelectorAll("#atlas-curve polyline")].map((line) => line.getAttribute("points")),
    facts: document.getElementById("atlas-facts").innerText,
    python: document.getElementById("atlas-python").textContent,
  });
}
function move(name, place) {
  const slider = document.getElementById(`atlas-${name}`);
  slider.value = place;
  slider.dispatchEvent(new Event("input"));
}
look();
for (const [name, place] of [["T", 3], ["sigma", 0], ["budget", 2], ["form", 0]]) { move(name, place); look(); }
location.hash = "#form=linear&T=5&sigma=1&budget=0.5";
window.addEventListener("hashchange", () => {
  look();
  let copied = "";
  document.execCommand = () => { copied = document.activeElement.value; return true; };
  Object.defineProperty(navigator, "clipboard", { value: undefined, configurable: true });
  document.getElementById("atlas-copy").click();
  document.body.innerHTML = `<pre id="seen">${JSON.stringify({ seen, copied })}</pre>`;
});
</script>"""


def point(form, steps, noise_std, budget):
    asked = {"form": form, "steps": steps, "noise_std": noise_std, "budget": budget}
    (found,) = (one for one in ATLAS["points"] if all(one[name] == value for name, value in asked.items()))
    return found


def test_the_data_are_those_of_the_study():
    study = json.loads((DOCS.parent / "examples" / "atlas.json").read_text())
    assert [one["gains"] for one in ATLAS["points"]] == [one["gains"] for one in study]
    for one in ATLAS["points"]:
        assert len(one["eigenvalues"]) == ATLAS["units"]
        at = one[one["form"]][one["steps"] - 1] / one[f"homogeneous_{one['form']}"][one["steps"] - 1]
        assert at == pytest.approx(one[f"ratio_{one['form']}"], rel=2e-3)


@pytest.mark.skipif(BROWSER is None, reason="needs a browser")
def test_sliders_move_and_everything_follows(tmp_path):
    body = re.search(r"```\{raw\} html\n(.*?)```", (DOCS / "atlas.md").read_text(), re.DOTALL)[1]
    page = tmp_path / "page.html"
    page.write_text(f"<!doctype html><meta charset='utf-8'>{body.replace('_static/', f'{STATIC}/')}{MOVES}")
    words = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000", "--dump-dom"]
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    run = subprocess.run(
        [BROWSER, *words, profile, f"{page.as_uri()}#T=2"], capture_output=True, text=True, check=True, timeout=120
    )
    found = json.loads(html.unescape(re.search(r'<pre id="seen">(.*?)</pre>', run.stdout, re.DOTALL)[1]))
    asked = [
        ("linear", 2, 0.1, 1.0),
        ("linear", 20, 0.1, 1.0),
        ("linear", 20, 0.03, 1.0),
        ("linear", 20, 0.03, 2.0),
        ("independent", 20, 0.03, 2.0),
        ("linear", 5, 1.0, 0.5),
    ]
    assert len(found["seen"]) == len(asked)
    for seen, place in zip(found["seen"], asked, strict=True):
        expected = point(*place)
        form, steps, noise_std, budget = place
        assert seen["address"] == f"#form={form}&T={steps}&sigma={noise_std:g}&budget={budget:g}"
        lags = expected["gains"]
        assert [float(gain) for gain in seen["gains"]] == [
            pytest.approx(lags[row - column + 4], abs=0.006) for row in range(5) for column in range(5)
        ]
        assert seen["dots"] == ATLAS["units"]
        assert f"{expected['ratio_linear']:.2f} ×" in seen["facts"]
        assert expected["regime"] in seen["facts"]
        assert len(seen["curves"]) == 4
    assert len({seen["edge"] for seen in found["seen"]}) == len(asked)
    assert len({tuple(seen["curves"]) for seen in found["seen"]}) == len(asked)
    assert found["copied"] == found["seen"][-1]["python"]
    assert found["copied"].startswith("network = connectivity.toeplitz([")
