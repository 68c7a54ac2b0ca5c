"""The site: `make docs` builds it without network and takes every warning for an error."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
sys.path.insert(0, str(HERE / "_extensions"))
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import fisherjax  # noqa: E402

project = "fisherjax"
author = "The fisherjax authors"
copyright = f"2026, {author}"  # noqa: A001
version = release = fisherjax.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.doctest",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "sphinx-mathjax-offline",
    "pages",
    "reference",
]
exclude_patterns = ["_build", "_extensions", "programs", "*/GALLERY_HEADER.rst"]
nitpicky = False
suppress_warnings = ["config.cache"]  # functions in the gallery's settings

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4

autodoc_typehints = "description"
autodoc_typehints_description_target = "all"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_attr_annotations = False  # stars of shapes are no emphasis
copybutton_exclude = ".linenos, .gp, .go"

html_theme = "pydata_sphinx_theme"
html_title = f"fisherjax {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_sidebars = {"index": [], "atlas": [], "theory": []}
html_theme_options = {
    "logo": {"text": "fisherjax"},
    "navbar_persistent": [],
    "navbar_end": ["search-button", "version-switcher", "theme-switcher"],
    "switcher": {"json_url": "_static/versions.json", "version_match": version},
    "check_switcher": False,
    "header_links_before_dropdown": 7,
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "footer_start": ["copyright"],
    "footer_end": [],
}

# What a reader follows within the site must exist; other hosts are not asked.
linkcheck_ignore = [r"https?://.*"]

sphinx_gallery_conf = {
    "examples_dirs": ["programs/start", "programs/how_to", "../examples"],
    "gallery_dirs": ["start", "how_to", "gallery"],
    "filename_pattern": r"/(start|how_to)/[^/]+\.py$|/(gradient_through_fisher|network_from_elsewhere)\.py$",
    "ignore_pattern": r"_figures\.py$|__init__\.py$",
    "nested_sections": False,
    "within_subsection_order": "FileNameSortKey",
    "image_scrapers": ("matplotlib",),
    "matplotlib_animations": False,
    "min_reported_time": 0,
    "show_memory": False,
    "show_signature": False,
    "remove_config_comments": True,
    "download_all_examples": False,
    "abort_on_example_error": True,
    "reset_argv": "pages.no_arguments",
    "reset_modules": ("matplotlib", "pages.fresh"),
    "plot_gallery": "True",
}
