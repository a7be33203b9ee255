"""The finance desk's Python: reads market files, makes one table of them, checks texts about it.

It runs in a worker of its own (web/desk/), apart from the engine, and in CPython for tests. Top
to bottom, each file with one duty:

    decoding.py, numbers.py, dates.py   bytes to text, texts to numbers and to days
    formats/                            what each kind of file holds
    cleaning.py, series.py              points to one price a day
    indicators.py                       what is computed of a series
    table.py, merging.py, figures.py    files to one table; how its figures are written
    briefing.py, export.py              the table as text for models, spreadsheets and documents
    claims/                             what a text about the table says, and whether it is so
    desk.py                             the door: JSON in, JSON out
"""
