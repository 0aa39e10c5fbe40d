"""Sphinx's configuration: `make docs` executes every page and treats warnings as errors.

Nothing is fetched from the internet, neither while building nor while reading.
"""

import importlib.metadata
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ["PYTHONPATH"] = str(ROOT)  # the kernels that execute the pages import docs.book
os.environ["PYTHONWARNINGS"] = (
    "ignore:IProgress not found"  # progress in the pages is text; the remark names our folders
)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # two pages are executed at a time
os.environ["TRANSFORMERS_VERBOSITY"] = "error"  # what it lacks of torchvision is no matter of a page

project = "singdiffusion"
author = "The singdiffusion authors"
release = importlib.metadata.version(project)
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinxcontrib.bibtex",
    "docs.book.fold",
    "docs.book.formal",
    "docs.book.hover",
    "docs.book.mathml",
    "docs.book.statement",
    "docs.book.statement_pages",
    "docs.vendored.site",
]

exclude_patterns = [
    "_build",
    "jupyter_execute",
    "experiments/results/**",  # the pages are beside them
    "statements/*.ipynb",  # for download
]

# A page whose cell raises is written with the error in its place; the warning then fails the build.
nb_execution_mode = "force"
nb_execution_timeout = 300
nb_execution_raise_on_error = False
nb_execution_show_tb = True  # a missing result is named in the terminal too
nb_merge_streams = True
nb_render_markdown_format = "myst"  # tables, formulas and links in what cells show
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
nb_ipywidgets_js = {}  # no page has widgets, and these come from elsewhere

suppress_warnings = ["ref.python"]  # classes of two packages that share a short name

viewcode_follow_imported_members = False
autosummary_generate = True
autodoc_member_order = "bysource"
toc_object_entries = False  # thousands of functions in the column of every page take minutes
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True, "ignore-module-all": True}
autodoc_preserve_defaults = True
autodoc_mock_imports = ["triton"]  # for GPUs only
napoleon_use_ivar = True
napoleon_use_rtype = False
templates_path = ["_templates"]

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3

bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "plain"

html_theme = "furo"
html_title = "singdiffusion"
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_search_summary = False  # browsers let no page that is a file read another one
html_show_sphinx = False
html_show_copyright = False

# The prompt of shell blocks and Python's own are no part of what is copied.
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
