"""The candidates of a case: states of its model that a selection rule may choose, and what is stored of each.

Of a candidate two blocks are stored: what rules may read, on which no label of a scored sample has an influence, and its
predictions of scored samples, which reports alone open.
"""
