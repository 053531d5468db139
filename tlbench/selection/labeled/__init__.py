"""Rules of labelled samples: source samples that are held out, or target samples that are granted for selection."""
