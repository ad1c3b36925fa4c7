"""Sphinx settings: furo, MyST, a reference from docstrings; built with -n -W, so a dead link is an error."""

import sys
from pathlib import Path

import consentkit

sys.path.insert(0, str(Path(__file__).parent))

project = "consentkit"
author = "The consentkit authors"
copyright = "2026, the consentkit authors"
release = version = consentkit.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton", "policy_reference"]
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True}
python_maximum_signature_line_length = 100
autodoc_class_signature = "separated"

# Other projects' inventories are not fetched, so that the build needs no network: our own names must resolve.
nitpick_ignore_regex = [(r"py:.*", r"(?!consentkit).*")]

default_role = "literal"  # `name` in a docstring is a name in code

html_theme = "furo"
html_title = f"consentkit {release}"
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True
