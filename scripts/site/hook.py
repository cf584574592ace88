"""What mkdocs.yml builds beside docs/: home page, tutorials, reference, gallery and changes, and their links.

Links in the repository are those that GitHub follows. Here they become those of the site: a page of the
repository is a page of the site, and another file that a page links to is copied.
"""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path

from gallery import gallery
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from reference import NAV, reference
from tutorials import converted

ROOT = Path(__file__).resolve().parent.parent.parent
ASSETS = Path(__file__).parent / "assets"

PAGES = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
"""Page at the top of the repository -> page of the site."""

_FENCE = re.compile(r"(^```.*?^```$|`[^`\n]+`)", flags=re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(?<=\]\()(?!\w+:)([^)\s#]+)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The pages of the reference are those of NAV."""
    assert config.nav is not None
    for entry in config.nav:
        if entry.get("Reference") == "reference/":
            entry["Reference"] = NAV
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds what is generated, and the files that pages link to."""
    sys.path.append(str(Path(__file__).parent))  # where the processes of the gallery look for its module
    for source, target in PAGES.items():
        files.append(File.generated(config, target, content=(ROOT / source).read_text("utf-8")))
    for notebook in [file for file in files if file.src_uri.endswith(".ipynb")]:
        for name, content in converted(Path(str(notebook.abs_src_path))).items():
            files.append(File.generated(config, f"tutorials/{name}", content=content))
    for name, content in {**reference(), **gallery(config.extra["gallery"])}.items():
        files.append(File.generated(config, name, content=content))
    for asset in sorted(ASSETS.iterdir()):
        files.append(File.generated(config, f"assets/{asset.name}", abs_src_path=str(asset)))
    for file in list(files.documentation_pages()):
        for target in linked(file.content_string, source_of(file.src_uri)):
            uri = target_of(target)
            if files.get_file_from_path(uri) is None and (ROOT / target).is_file():
                files.append(File.generated(config, uri, abs_src_path=str(ROOT / target)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The page with its links as they are in the site."""
    uri = page.file.src_uri
    return with_links(markdown, source_of(uri), posixpath.dirname(uri))


def source_of(uri: str) -> str:
    """Where in the repository a page of the site is, or would be."""
    sources = {target: source for source, target in PAGES.items()}
    return sources.get(uri, f"docs/{uri}")


def target_of(source: str) -> str:
    """Where in the site a file of the repository is."""
    if source in PAGES:
        return PAGES[source]
    uri = source.removeprefix("docs/")
    return re.sub(r"\.ipynb$", ".md", uri)


def linked(markdown: str, source: str) -> list[str]:
    """The files of the repository that a page of it links to."""
    texts = _FENCE.split(markdown)[::2]
    return [_resolved(link, source) for text in texts for link in _LINK.findall(text)]


def with_links(markdown: str, source: str, folder: str) -> str:
    """A page of the repository with the links that it has in a folder of the site; code stays as it is."""

    def moved(found: re.Match[str]) -> str:
        return posixpath.relpath(target_of(_resolved(found[1], source)), folder or ".")

    parts = _FENCE.split(markdown)
    return "".join(_LINK.sub(moved, part) if index % 2 == 0 else part for index, part in enumerate(parts))


def _resolved(link: str, source: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), link))
