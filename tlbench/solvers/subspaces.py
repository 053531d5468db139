"""Linear maps between the subspaces or the covariances of two domains, all in closed form.

Principal directions and covariance powers of any width; CORAL (Sun, Feng and Saenko, AAAI 2016,
https://arxiv.org/abs/1511.05547); the Monge map between Gaussians (Knott and Smith, Journal of Optimization Theory and
Applications 1984, https://doi.org/10.1007/BF00934745); the geodesic flow kernel and its subspace disagreement measure (Gong,
Shi, Sha and Grauman, CVPR 2012, https://doi.org/10.1109/CVPR.2012.6247911).
"""

from __future__ import annotations

import torch
from torch import Tensor

from tlbench.solvers.eigenvectors import fix_signs


def principal_directions(x_ND: Tensor, count: int | None = None) -> Tensor:
    """Orthonormal principal directions (D, K) of the centred samples, in order of variance; fewer where the rank is lower.

    The eigenproblem is solved in the smaller of the two spaces, columns (D, D) or samples (N, N). The largest entry of each
    direction is positive.
    """
    return covariance_spectrum(x_ND, count)[1]


def covariance_spectrum(x_ND: Tensor, count: int | None = None, correction: int = 1) -> tuple[Tensor, Tensor]:
    """Eigenvalues (K,) of the covariance (divided by N - correction), those above rounding, and its directions (D, K)."""
    centered = x_ND - x_ND.mean(dim=0)
    wide = centered.shape[1] > len(centered)
    values, vectors = torch.linalg.eigh(centered @ centered.T if wide else centered.T @ centered)
    values, vectors = values.flip(0), vectors.flip(1)
    retained = values > values[0].clamp_min(torch.finfo(values.dtype).tiny) * len(values) * torch.finfo(values.dtype).eps
    values, vectors = values[retained][:count], vectors[:, retained][:, :count]
    if wide:
        vectors = centered.T @ vectors / values.sqrt()
    return values / max(len(x_ND) - correction, 1), fix_signs(vectors)


def multiply_by_power(x_ND: Tensor, values_K: Tensor, vectors_DK: Tensor, ridge: float, exponent: float) -> Tensor:
    """Samples times (V diag(values) V' + ridge I)^exponent, which is ridge^exponent outside the span of V.

    Args:
        x_ND: samples (N, D).
        values_K: eigenvalues (K,).
        vectors_DK: V (D, K), orthonormal.
        ridge: positive.
        exponent: of the matrix.
    """
    change = (values_K + ridge) ** exponent - ridge**exponent
    return ridge**exponent * x_ND + ((x_ND @ vectors_DK) * change) @ vectors_DK.T


def coral(source_ND: Tensor, target_MD: Tensor, ridge: float) -> Tensor:
    """Source samples (N, D) with the target's covariance: x (C_s + ridge I)^(-1/2) (C_t + ridge I)^(1/2), not centred."""
    wide = source_ND.shape[1] > len(source_ND)
    start = source_ND if wide else torch.eye(source_ND.shape[1]).to(source_ND)  # the map itself, where it is the smaller one
    white = multiply_by_power(start, *covariance_spectrum(source_ND), ridge, -0.5)
    recolored = multiply_by_power(white, *covariance_spectrum(target_MD), ridge, 0.5)
    return recolored if wide else source_ND @ recolored


def linear_monge_map(source_ND: Tensor, target_MD: Tensor, ridge: float) -> Tensor:
    """Source samples (N, D) moved by the optimal transport map between two Gaussians; covariances are divided by N.

    With more columns than samples the map is computed in the span of all samples. Where neither domain varies it is the step
    between the means.

    Args:
        source_ND: source samples (N, D).
        target_MD: target samples (M, D).
        ridge: added to both covariances, in units of the mean of their diagonals.
    """
    means = source_ND.mean(dim=0), target_MD.mean(dim=0)
    source, target = source_ND - means[0], target_MD - means[1]
    span = None
    if source.shape[1] > len(source) + len(target):
        span = torch.linalg.qr(torch.cat([source, target]).T).Q
        source, target = source @ span, target @ span
    covariances = source.T @ source / len(source), target.T @ target / len(target)
    scaled_ridge = ridge * float(sum(c.diagonal().mean() for c in covariances)) / 2
    if not scaled_ridge > 0:
        return means[1] + source_ND - means[0]
    source_covariance, target_covariance = (c + scaled_ridge * torch.eye(len(c)).to(c) for c in covariances)
    values, vectors = torch.linalg.eigh(source_covariance)
    root, inverse = values.sqrt(), values.rsqrt()
    values, rotation = torch.linalg.eigh(root[:, None] * (vectors.T @ target_covariance @ vectors) * root)
    between = (rotation * values.clamp_min(0).sqrt()) @ rotation.T
    mapped = source @ vectors * inverse @ between * inverse @ vectors.T
    return means[1] + (mapped if span is None else mapped @ span.T)


def geodesic_flow_root(source_DK: Tensor, target_DK: Tensor) -> Tensor:
    """A square root (D, 2K) of the geodesic flow kernel G: |(x - y) root|^2 = (x - y)'G(x - y).

    G is the integral over t in [0, 1] of Phi(t) Phi(t)', Phi the geodesic from span(P_s) to span(P_t) (Gong et al. 2012). For
    each principal angle G is a 2 x 2 block whose square root has a closed form; no null space is needed.

    Args:
        source_DK: P_s, an orthonormal basis (D, K).
        target_DK: P_t, an orthonormal basis (D, K).
    """
    left, cosine, right = torch.linalg.svd(source_DK.T @ target_DK)
    start = source_DK @ left
    # sine and direction come from the residual: 1 - cos^2 would lose half of the digits at small angles
    residual = target_DK @ right.T - start * cosine
    sine = residual.norm(dim=0)
    angle = torch.atan2(sine, cosine.clamp(-1, 1))
    direction = -residual / sine.clamp_min(1e-12) * (sine > 1e-12)
    double = 2 * angle
    ratio = torch.sinc(double / torch.pi)  # sin(2 theta) / (2 theta), 1 at 0
    cross = torch.where(angle > 1e-8, (double.cos() - 1) / (2 * double.clamp_min(1e-300)), -angle / 2)
    blocks = torch.stack([torch.stack([(1 + ratio) / 2, cross], -1), torch.stack([cross, (1 - ratio) / 2], -1)], -2)
    values, vectors = torch.linalg.eigh(blocks)
    roots = (vectors * values.clamp_min(0).sqrt()[:, None, :]) @ vectors.mT
    pair = torch.stack([start, direction], dim=-1)
    return torch.einsum("dki,kij->dkj", pair, roots).flatten(1)


def disagreement_dimension(source_DK: Tensor, target_DK: Tensor, pooled_DK: Tensor, largest: int) -> int:
    """The dimension that the subspace disagreement measure chooses (Gong et al. 2012, section 3.4).

    It is the first d with (sin a_d + sin b_d) / 2 = 1 to 1e-2, where a_d and b_d are the largest principal angles between the
    first d directions of a domain and those of all samples; `largest` where there is no such d.

    Args:
        source_DK: principal directions (D, K) of the source.
        target_DK: principal directions (D, K) of the target.
        pooled_DK: principal directions (D, K) of both.
        largest: the last d that is tried.
    """
    for count in range(1, largest + 1):
        smallest = [
            torch.linalg.svdvals(basis[:, :count].T @ pooled_DK[:, :count])[-1].clamp(max=1) for basis in (source_DK, target_DK)
        ]
        if float(sum((1 - c.square()).clamp_min(0).sqrt() for c in smallest)) / 2 > 1 - 1e-2:
            return count
    return largest
