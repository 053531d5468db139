"""From the content of files to arrays of samples: images, tables, texts, HDF5, mapped arrays."""
