"""What can be done with data and models: one plain function per file.

A job's signature is its form on the command line and in Python, its docstring is the help. Files
load fast (torch is imported inside functions), and `OUT`, where a file has one, is the name inside
the run's folder that the command line writes to when no `--out` is given.
"""
