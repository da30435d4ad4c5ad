"""The tables of the settings on both sides, checked to fit before a run is made.

pair.py     what a table is on both sides
fit.py      what must hold for it to fit
types.py    which types of the target hold all of the source's
changes.py  how its columns differ, and what would mend that
crossing.py what must hold where its rows go to another engine
rules.py    what else the target demands, and which table goes first
"""
