"""How a composed step is carried out: one driver (`driver.py`), and the rows that it drives.

`CompiledRows` steps by compiled passes on the CPU or a GPU, `ReferenceRows` by torch's operators; both agree with the
rule itself. Row values are arrays `[rows]`, or one number for all; parameters and states are written in place.
"""
