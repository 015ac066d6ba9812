"""Shape → module. A network family is a module with two classes, `Encoder` and `Decoder`:

    Encoder(shape, out, *, context=0, **options)      (x, context, seen) → (B, out)
    Decoder(latent, numbers, *, context=0, **options)  (z, context)      → (B, *numbers)

A Decoder's `writes` says that it returns a `Writer` in place of numbers: texts, symbol by symbol.

`context` is the width C of the condition vector, 0 for none. No network contains normalisation that
depends on the batch: one item's output never depends on its neighbours, averaged weights work as
they are, and an entropy coder can reproduce the numbers.
"""
