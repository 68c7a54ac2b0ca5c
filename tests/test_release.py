"""What a release is made of agrees with the package: versions, requirements, papers, workflows, forms."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

import fisherjax

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DEPENDENCIES = [Requirement(line) for line in PROJECT["dependencies"]]
TARGETS = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted(set((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")) - {ROOT / ".github/ISSUE_TEMPLATE/config.yml"})
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
ON_CONDA = {"matplotlib-base": "matplotlib"}  # without a toolkit of windows


def workflow(name):
    return yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text())


def each(paths):
    return pytest.mark.parametrize("path", paths, ids=[path.stem for path in paths])


@each(WORKFLOWS)
def test_workflows_say_when_with_what_rights_and_what(path):
    held = workflow(path.stem)
    # YAML 1.1 reads "on" as true
    assert set(held) == {"name", True, "permissions", "concurrency", "jobs"}
    assert held["permissions"] == {"contents": "read"}
    for name, job in held["jobs"].items():
        assert job["runs-on"] in {"ubuntu-latest", "macos-latest"}, name
        assert job["timeout-minutes"] <= 90, name
        assert set(job.get("permissions", {})) <= {"id-token", "pages"}, name
        needs = job.get("needs", [])
        assert set([needs] if isinstance(needs, str) else needs) <= set(held["jobs"]), name
        for step in job["steps"]:
            assert ("run" in step) != ("uses" in step), name
            if "uses" in step:
                assert re.fullmatch(r"(actions/[\w-]+@v\d+|pypa/gh-action-pypi-publish@release/v1)", step["uses"]), name


@each(WORKFLOWS)
def test_workflows_name_targets_and_files_that_exist(path):
    text = path.read_text()
    commands = [step["run"] for job in workflow(path.stem)["jobs"].values() for step in job["steps"] if "run" in step]
    called = re.findall(r"\bmake (?:-C \w+ )?(\w+)", "\n".join(commands))
    assert set(called) <= TARGETS
    assert called or path.stem == "release"
    for name in re.findall(r"\b(?:requirements/)?[\w-]+\.(?:toml|txt)\b", text):
        assert (ROOT / name).is_file(), name


def test_tests_run_on_every_python_that_is_promised():
    promised = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.search(r"Python :: 3\.\d+$", line)]
    assert workflow("tests")["jobs"]["ubuntu"]["strategy"]["matrix"]["python"] == promised
    assert workflow("release")["jobs"]["wheel"]["strategy"]["matrix"]["python"] == promised
    assert PROJECT["requires-python"] == f">={promised[0]}"


def test_the_site_that_is_published_is_the_one_that_is_built():
    steps = workflow("docs")["jobs"]["build"]["steps"]
    paths = {step["with"]["path"] for step in steps if "upload" in step.get("uses", "")}
    assert len(paths) == 1
    assert paths.pop() in (ROOT / "Makefile").read_text()


def test_only_a_tag_is_published_after_all_checks():
    publish = workflow("release")["jobs"]["publish"]
    assert set(publish["needs"]) == set(workflow("release")["jobs"]) - {"build", "publish"}
    assert "refs/tags/v" in publish["if"]
    assert publish["permissions"] == {"id-token": "write"}


def test_lowest_versions_are_the_lower_bounds():
    lines = [line for line in (ROOT / "requirements/lowest.txt").read_text().splitlines() if line[:1] not in {"", "#"}]
    lowest = {(pin := Requirement(line)).name: pin.specifier for line in lines}
    assert list(lowest) == [needed.name for needed in DEPENDENCIES]
    for needed in DEPENDENCIES:
        (bound,), (pin,) = needed.specifier, lowest[needed.name]
        assert (bound.operator, pin.operator) == (">=", "==")
        assert Version(bound.version) == Version(pin.version), needed.name


def test_the_recipe_asks_for_what_the_package_asks_for():
    text = (ROOT / "recipe/meta.yaml").read_text()
    version = re.search(r'{% set version = "(.+)" %}', text)[1]
    filled = re.sub(r"{%.*?%}", "", text).replace("{{ version }}", version).replace("{{ PYTHON }}", "python")
    recipe = yaml.safe_load(filled)
    assert recipe["package"] == {"name": PROJECT["name"], "version": fisherjax.__version__}
    run = [Requirement(line) for line in recipe["requirements"]["run"]]
    assert (run[0].name, str(run[0].specifier)) == ("python", PROJECT["requires-python"])
    wanted = [(needed.name, needed.specifier) for needed in DEPENDENCIES]
    assert [(ON_CONDA.get(needed.name, needed.name), needed.specifier) for needed in run[1:]] == wanted
    packages = {f"fisherjax.{name}" for name in fisherjax.__all__ if (ROOT / "fisherjax" / name).is_dir()}
    assert set(recipe["test"]["imports"]) == {"fisherjax", *packages}
    assert recipe["build"]["entry_points"] == [f"{name} = {where}" for name, where in PROJECT["scripts"].items()]


def test_citation_and_changelog_have_the_version():
    assert str(CITATION["version"]) == fisherjax.__version__
    changes = re.search(r"^## (\S+) – (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert changes.groups() == (fisherjax.__version__, CITATION["date-released"])


def test_papers_are_those_that_the_code_cites():
    pages = [*(ROOT / "fisherjax").rglob("*.py"), *(ROOT / "docs").rglob("theory.md")]
    text = "\n".join(page.read_text() for page in pages)
    cited = {}
    for year in re.finditer(r"\b(19|20)\d\d\b", text):
        cited.setdefault(int(year[0]), []).append(text[max(0, year.start() - 150) : year.start()])
    titles = [paper["title"] for paper in CITATION["references"]]
    assert len(set(titles)) == len(titles) > 60
    for paper in CITATION["references"]:
        first = paper["authors"][0]["family-names"]
        years = [paper["year"]] if "year" in paper else cited
        assert any(re.search(rf"\b{first}\b", before) for year in years for before in cited[year]), paper["title"]
        assert "doi" not in paper  # none was looked up


@each(FORMS)
def test_forms_of_issues_are_whole(path):
    form = yaml.safe_load(path.read_text())
    assert set(form) == {"name", "description", "labels", "body"}
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields) > 0
    for field in fields:
        assert field["type"] in {"textarea", "input", "dropdown", "checkboxes"}
        assert field["attributes"]["label"]
        assert set(field) <= {"type", "id", "attributes", "validations"}


def test_there_are_no_invented_addresses():
    assert "urls" not in PROJECT
    assert all("email" not in author for author in PROJECT["authors"])
    for name in ("pyproject.toml", "CITATION.cff", "CODE_OF_CONDUCT.md", "SECURITY.md", "recipe/meta.yaml"):
        text = (ROOT / name).read_text()
        hosts = set(re.findall(r"https?://([^/\s)\"]+)", text))
        assert hosts <= {"www.contributor-covenant.org"}, name
        assert not re.search(r"[\w.]+@[\w-]+\.\w+", text), name


def test_the_sdist_has_what_it_needs_to_test_itself():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["sdist"]
    for pattern in settings["include"]:
        assert list(ROOT.glob(pattern.partition("*")[0].strip("/"))), pattern
    assert {"/fisherjax", "/tests", "/Makefile", "/requirements", "/recipe", "/.github"} <= set(settings["include"])
