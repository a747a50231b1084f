"""Ways to carry out a composed step in place. All take the same arguments and agree with the reference.

A *row* is one parameter tensor (of a drop-in) or one parameter of one member (of a population). `elements` holds, per
row, its gradient, parameter and states; `values` holds the row values, arrays `[distinct]`; `which[row]` says which
of them the row uses. New row states are returned, `[distinct]`; everything else is written in place.

What is done to whole gradients, and what is measured of them, is done before and stands among `values`; what needs the
rule to be measured is seen to here, and such rows share no row values.
"""
