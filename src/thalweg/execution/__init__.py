"""Backends of a composed step, in place. All take the same arguments and agree with the reference.

A *row* is one parameter tensor (of a drop-in) or one parameter of one member (of a population). `rows` holds the
gradient, parameter and states of each; `values` holds the row values, arrays `[distinct]`; `which[row]` is the index of
those that the row uses. New row states are returned, `[distinct]`; everything else is written in place.

Whole gradients are transformed, and their norms measured, beforehand; the norms are among `values`. A measurement that
needs the rule (agreement) is made here, and rows with one share no row values.
"""
