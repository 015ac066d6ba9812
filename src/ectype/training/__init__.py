"""One loop trains every model: it alone owns zero_grad, backward, clipping, precision, averaging.

A player's loss moves only that player's parameters. Nothing in a step waits for the device: metrics
are summed there and read about once a second. Everything random in a step is a function of
(seed, step), and everything else is in `State`, so a resumed run repeats bit for bit.
"""
