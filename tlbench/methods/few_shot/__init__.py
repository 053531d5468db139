"""Methods for labelled target samples in small numbers: prototypes and cosine heads on features of the source."""
