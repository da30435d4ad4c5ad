"""The tables of the settings on both sides, checked to fit before a run is made.

pair.py  what a table is on both sides
fit.py   what must hold for it to fit
"""
