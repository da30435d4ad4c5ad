"""The report of a run for people: to read on a terminal, or as one page fit to be signed.

words.py   its facts, tables and sentences in a language
lines.py   on a terminal
page.py    as HTML that stands alone, with page.css inside
file.py    a file that is written whole or not at all
"""
