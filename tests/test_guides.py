"""Every public name leads somewhere: to a guide or an example, and to the reference; what guides call exists."""

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest

import fisherjax

ROOT = Path(__file__).parent.parent
PACKAGES = [name for name in fisherjax.__all__ if inspect.ismodule(getattr(fisherjax, name))]
GUIDES = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
EXAMPLES = sorted([*(ROOT / "examples").glob("*.py"), *(ROOT / "docs" / "programs").rglob("*.py")])
REFERENCE = (ROOT / "docs" / "_extensions" / "reference.py").read_text()
MOST_NAMES = 330


def public_names(package):
    return importlib.import_module(f"fisherjax.{package}").__all__


def shown(package, name, text):
    """Written with its package, or alone as code; of a class the name is enough."""
    return re.search(rf"\b{package}\.{name}\b|`{name}`" + (rf"|\b{name}\b" if name[0].isupper() else ""), text)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_in_a_guide_or_an_example_and_in_the_reference(package):
    text = "\n".join(page.read_text() for page in [*GUIDES, *EXAMPLES])
    assert f'"{package}"' in REFERENCE
    assert [name for name in public_names(package) if not shown(package, name, text)] == []


def test_there_are_few_doors():
    assert sum(len(public_names(package)) for package in PACKAGES) < MOST_NAMES


def calls():
    """Every call of a public function in the programs of the guides: page, line of code, function, keywords."""
    for page in GUIDES:
        for code in re.findall(r"```py(?:thon)?\n(.*?)```", page.read_text(), re.S):
            for node in ast.walk(ast.parse(code)):
                match node:
                    case ast.Call(func=ast.Attribute(value=ast.Name(id=package), attr=name)) if package in PACKAGES:
                        yield f"{page.name}: {ast.unparse(node)}", package, name, node


def test_guides_call_what_exists_with_keywords_that_it_takes():
    everything = list(calls())
    assert len(everything) > 100
    for line, package, name, node in everything:
        function = getattr(importlib.import_module(f"fisherjax.{package}"), name, None)
        assert function is not None, line
        if any(isinstance(argument, ast.Starred) for argument in node.args):
            continue
        inspect.signature(function).bind_partial(
            *node.args, **{word.arg: word.value for word in node.keywords if word.arg is not None}
        )
