"""A pytest plugin that runs the Python blocks of Markdown files, each file's blocks in one namespace.

``<!--- skip: next -->`` in front of a block leaves it out: use it for code that needs what a checkout has not.
"""

from pathlib import Path

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

ROOT = Path(__file__).parents[2]

pytest_collect_file = Sybil(
    path=str(ROOT), parsers=[PythonCodeBlockParser(), SkipParser()], patterns=["*.md", "**/*.md"]
).pytest()
