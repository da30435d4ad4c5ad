"""The dashboard: one page that draws a snapshot and calls one operation.

    dashboard.py  ->  script.py  ->  page.py  ->  one module a card
                                        |
                                     actions.py  (what a click does)

A card has two kinds of things. What must answer at once (inputs, buttons) or changes with the state
only is drawn by the script itself; what moves while a run goes is a function `Snapshot, Reader ->
Markup`, put into a place the script left for it, and drawn anew by one polling fragment.
Threads never touch Streamlit.
"""
