"""What a page loads."""

from __future__ import annotations

from html.parser import HTMLParser


def sources_of(page: str) -> list[str]:
    """The addresses of a page's pictures and scripts, in order; it must not embed or link anything else."""
    sources: list[str] = []

    class Sources(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert tag not in {"link", "iframe", "object", "embed"}
            sources.extend(value or "" for name, value in attrs if name in {"src", "srcset"})

    Sources().feed(page)
    return sources
