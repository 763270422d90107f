"""Writes all pages."""

from __future__ import annotations

from scripts.reference.files import MAN, PAGES, ROOT, made_files

files = made_files()
for folder in (PAGES, MAN):
    (ROOT / folder).mkdir(exist_ok=True)
for path, text in files.items():
    (ROOT / path).write_text(text)
