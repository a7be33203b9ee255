"""What a text about a table says, and whether the table says so too.

    vocabulary.py  words for assets, columns, directions, ends and states
    figures.py     numbers in a text
    clauses.py     a text to sentences and clauses, with what stands in each
    linking.py     each number to its cell
    statements.py  what a clause claims beside its numbers
    checking.py    all of it, as the page shows it

The reader knows usual English and guesses nothing: what it cannot read stays unchecked, and is not
called right.
"""
