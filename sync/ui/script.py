"""What Streamlit runs for each browser tab, at each rerun."""

from sync.errors import BatchSyncError
from sync.ui import page
from sync.ui.process import get_operations

try:
    with page.opening():
        operations = get_operations()
except BatchSyncError as error:
    page.draw_failure(error)
else:
    page.draw(operations)
