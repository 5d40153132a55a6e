"""How Sphinx builds the documentation; ``nox -s docs`` runs it."""

import importlib.metadata
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "LocalAgent"
author = "The LocalAgent maintainers"
project_copyright = author
release = importlib.metadata.version("localagent-core")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "hook_reference"]
exclude_patterns = ["_build", "_ext", "examples"]

html_theme = "furo"
html_title = "LocalAgent"
html_static_path = ["_static"]
html_css_files = ["hooks.css"]
html_copy_source = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autoclass_content = "class"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

# Attributes named `type` make every annotation `type` look ambiguous to Sphinx; the builtin is meant.
suppress_warnings = ["ref.python"]
