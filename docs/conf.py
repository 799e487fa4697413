"""How Sphinx builds this documentation: Markdown (MyST), and a warning is an error (``make docs``)."""

from __future__ import annotations

project = "binderhub-service"
author = "binderhub-service contributors"
copyright = f"2026, {author}"

extensions = ["myst_parser"]
exclude_patterns = ["_build"]
nitpicky = True
# Headings can be linked to, as on GitHub.
myst_heading_anchors = 3

html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["assets"]
html_theme_options = {
    "home_page_in_toc": True,
    # The sidebar has the search already.
    "navbar_persistent": [],
    "use_download_button": False,
    "use_fullscreen_button": False,
}
