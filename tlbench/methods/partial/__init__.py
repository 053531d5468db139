"""Methods for targets that have a part of the source's classes: they take the source samples of the other classes out."""
