"""Figures of the source code and of the documents: language and structure.

Both commands of `python -m checks` read files and print a table. They import nothing of the
product and use the standard library only.
"""
