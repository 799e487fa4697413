"""How Sphinx builds this documentation: Markdown (MyST), and a warning is an error (``make docs``)."""

from __future__ import annotations

project = "binderhub-service"
author = "binderhub-service contributors"
copyright = f"2026, {author}"

extensions = ["myst_parser", "sphinx_copybutton", "sphinx_design"]
exclude_patterns = ["_build"]
nitpicky = True
# Cards within a grid, on the first page.
myst_enable_extensions = ["colon_fence"]
# Headings can be linked to, as on GitHub.
myst_heading_anchors = 3

html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["assets"]
html_css_files = ["site.css"]
html_theme_options = {
    "home_page_in_toc": True,
    # The sidebar has the search already.
    "navbar_persistent": [],
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
}

# `make links`. Examples lead nowhere, and GitHub writes its anchors with JavaScript.
linkcheck_ignore = [r"https?://(localhost|[\w.-]*example\.(com|org|edu))\b.*"]
linkcheck_anchors_ignore_for_url = [r"https://github\.com/.*"]
linkcheck_timeout = 20
linkcheck_retries = 3
linkcheck_report_timeouts_as_broken = True
