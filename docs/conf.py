"""How Sphinx builds the documentation; ``nox -s docs`` runs it."""

import importlib.metadata

project = "LocalAgent"
author = "The LocalAgent maintainers"
project_copyright = author
release = importlib.metadata.version("localagent-core")

extensions = ["myst_parser"]
exclude_patterns = ["_build", "_ext", "examples"]

html_theme = "furo"
html_title = "LocalAgent"
html_static_path = ["_static"]
html_copy_source = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# Attributes named `type` make every annotation `type` look ambiguous to Sphinx; the builtin is meant.
suppress_warnings = ["ref.python"]
