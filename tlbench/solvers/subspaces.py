"""Subspaces of rows: principal directions, powers of covariances of any width, and the geodesic flow between two subspaces."""

from __future__ import annotations

import torch
from torch import Tensor

from tlbench.solvers.transfer_components import signed


def principal(x_ND: Tensor, count: int | None = None) -> Tensor:
    """Principal directions (D, K) of the rows, centred, orthonormal, the widest first; fewer where the rank is lower.

    Solved in the smaller of the two spaces, columns (D, D) or rows (N, N). The largest entry of each is positive.
    """
    return spectrum(x_ND, count)[1]


def spectrum(x_ND: Tensor, count: int | None = None, correction: int = 1) -> tuple[Tensor, Tensor]:
    """Eigenvalues (K,) of the covariance (divided by N - correction), those above rounding, and its directions (D, K)."""
    centred = x_ND - x_ND.mean(dim=0)
    wide = centred.shape[1] > len(centred)
    values, vectors = torch.linalg.eigh(centred @ centred.T if wide else centred.T @ centred)
    values, vectors = values.flip(0), vectors.flip(1)
    kept = values > values[0].clamp_min(torch.finfo(values.dtype).tiny) * len(values) * torch.finfo(values.dtype).eps
    values, vectors = values[kept][:count], vectors[:, kept][:, :count]
    if wide:
        vectors = centred.T @ vectors / values.sqrt()
    return values / max(len(x_ND) - correction, 1), signed(vectors)


def times_power(rows_ND: Tensor, values_K: Tensor, vectors_DK: Tensor, ridge: float, exponent: float) -> Tensor:
    """Rows times (V diag(values) V' + ridge I)^exponent; outside the span of V that is ridge^exponent."""
    change = (values_K + ridge) ** exponent - ridge**exponent
    return ridge**exponent * rows_ND + ((rows_ND @ vectors_DK) * change) @ vectors_DK.T


def coral(source_ND: Tensor, target_MD: Tensor, ridge: float) -> Tensor:
    """Source rows (N, D) with the target's covariance: x (C_s + ridge I)^(-1/2) (C_t + ridge I)^(1/2), not centred."""
    wide = source_ND.shape[1] > len(source_ND)
    start = source_ND if wide else torch.eye(source_ND.shape[1]).to(source_ND)  # the map first, where it is the smaller one
    white = times_power(start, *spectrum(source_ND), ridge, -0.5)
    coloured = times_power(white, *spectrum(target_MD), ridge, 0.5)
    return coloured if wide else source_ND @ coloured


def monge(source_ND: Tensor, target_MD: Tensor, ridge: float) -> Tensor:
    """Source rows (N, D) moved by the optimal transport map of the two Gaussians; covariances are divided by N.

    `ridge`, in units of the mean of their diagonals, is added to both. More columns than rows: in the span of all rows. Where
    neither domain varies the map is the step between the means.
    """
    means = source_ND.mean(dim=0), target_MD.mean(dim=0)
    source, target = source_ND - means[0], target_MD - means[1]
    span = None
    if source.shape[1] > len(source) + len(target):
        span = torch.linalg.qr(torch.cat([source, target]).T).Q
        source, target = source @ span, target @ span
    covariances = source.T @ source / len(source), target.T @ target / len(target)
    little = ridge * float(sum(c.diagonal().mean() for c in covariances)) / 2
    if not little > 0:
        return means[1] + source_ND - means[0]
    of_source, of_target = (c + little * torch.eye(len(c)).to(c) for c in covariances)
    values, vectors = torch.linalg.eigh(of_source)
    root, inverse = values.sqrt(), values.rsqrt()
    values, turns = torch.linalg.eigh(root[:, None] * (vectors.T @ of_target @ vectors) * root)
    between = (turns * values.clamp_min(0).sqrt()) @ turns.T
    moved = source @ vectors * inverse @ between * inverse @ vectors.T
    return means[1] + (moved if span is None else moved @ span.T)


def geodesic_flow(source_DK: Tensor, target_DK: Tensor) -> Tensor:
    """A square root (D, 2K) of the geodesic flow kernel G: |(x - y) root|^2 = (x - y)'G(x - y).

    G is the integral over t in [0, 1] of Phi(t) Phi(t)', Phi the geodesic from span(P_s) to span(P_t) (Gong et al. 2012). Per
    principal angle it is a 2 x 2 block, whose square root has a closed form; no null space is needed.
    """
    left, cosine, right = torch.linalg.svd(source_DK.T @ target_DK)
    begin = source_DK @ left
    # sin and the direction from the residual: 1 - cos^2 would lose half of the digits at small angles
    rest = target_DK @ right.T - begin * cosine
    sine = rest.norm(dim=0)
    angle = torch.atan2(sine, cosine.clamp(-1, 1))
    towards = -rest / sine.clamp_min(1e-12) * (sine > 1e-12)
    double = 2 * angle
    share = torch.sinc(double / torch.pi)  # sin(2 theta) / (2 theta), 1 at 0
    cross = torch.where(angle > 1e-8, (double.cos() - 1) / (2 * double.clamp_min(1e-300)), -angle / 2)
    blocks = torch.stack([torch.stack([(1 + share) / 2, cross], -1), torch.stack([cross, (1 - share) / 2], -1)], -2)
    values, vectors = torch.linalg.eigh(blocks)
    roots = (vectors * values.clamp_min(0).sqrt()[:, None, :]) @ vectors.mT
    pair = torch.stack([begin, towards], dim=-1)
    return torch.einsum("dki,kij->dkj", pair, roots).flatten(1)


def agreeing_dimension(source_DK: Tensor, target_DK: Tensor, pooled_DK: Tensor, most: int) -> int:
    """Where the subspaces of both domains first stand at a right angle to that of all rows (subspace disagreement measure).

    The first d with (sin a_d + sin b_d) / 2 = 1 to 1e-2, a_d and b_d the largest principal angles of the first d directions
    (Gong et al. 2012, section 3.4); `most` where there is none.
    """
    for count in range(1, most + 1):
        smallest = [
            torch.linalg.svdvals(basis[:, :count].T @ pooled_DK[:, :count])[-1].clamp(max=1) for basis in (source_DK, target_DK)
        ]
        if float(sum((1 - c.square()).clamp_min(0).sqrt() for c in smallest)) / 2 > 1 - 1e-2:
            return count
    return most
