"""No transfer, or the plainest use of the labels: what transfer is compared with."""
