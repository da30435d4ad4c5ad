"""The dashboard: `streamlit run dashboard.py`."""

from pathlib import Path

import streamlit as st

from sync.ui.process import lifespan

app = st.App(Path(__file__).parent / "sync" / "ui" / "script.py", lifespan=lifespan)
