"""A folder, file, archive, hub name, built-in name or array → items that are batched, split and named.

    source --open--> Found --fit kind--> stored arrays (in memory or mapped) --gather--> Batch

`reading.read` is the door; the other modules each know one sort of source or one step.
"""
