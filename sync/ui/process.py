"""What the browser tabs of one process share: one `Operations`, opened once, closed at the end."""

from __future__ import annotations

import asyncio
import gc
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import streamlit as st

from sync.errors import BatchSyncError
from sync.settings import load
from sync.wiring import open_operations

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sync.operations import Operations


def _close(operations: Operations) -> None:
    operations.close()


def _open() -> None:
    with suppress(BatchSyncError):
        get_operations()


@st.cache_resource(show_spinner=False, on_release=_close)
def get_operations() -> Operations:
    """The process's operations. Raises BatchSyncError, and then tries again the next time."""
    operations = open_operations(load())
    operations.serve_queue()
    # Streamlit collects garbage after each poll, going through all that was ever imported.
    gc.collect()
    gc.freeze()
    return operations


@asynccontextmanager
async def lifespan(_app: st.App) -> AsyncIterator[None]:
    """Look after the queue before the first reader comes, and end this process's run at the end.

    Streamlit itself would do neither. What cannot be opened is told to the first reader.
    """
    opening = asyncio.create_task(asyncio.to_thread(_open))
    yield
    await opening
    await asyncio.to_thread(get_operations.clear)
