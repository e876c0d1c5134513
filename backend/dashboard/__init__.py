"""The run pages: `/runs`, `/runs/ID`, `/runs/ID/epochs/N`. They only read."""

from backend.dashboard.answers import let_in
from backend.dashboard.views import ASSETS, NAME, ask_who, pages

__all__ = ["ASSETS", "NAME", "ask_who", "let_in", "pages"]
