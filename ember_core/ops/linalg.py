"""Equations and factorisations of matrices."""

from __future__ import annotations

from .dispatch import BY_TYPE, BY_TYPES, Array


def solve(a: Array, b: Array) -> Array:
    """`x` such that `a @ x = b`, for `a` of shape `(N, N)` and `b` of shape `(N, K)`."""
    return BY_TYPES[type(a), type(b)].solve(a, b)


def cholesky(a: Array) -> Array:
    """Lower triangle `L` with `L @ L.T = a`, for `a` symmetric positive definite `(N, N)`."""
    return BY_TYPE[type(a)].cholesky(a)


def eigh(a: Array) -> tuple[Array, Array]:
    """Eigenvalues `(N,)`, rising, and eigenvectors in the columns of `(N, N)`, `a` symmetric."""
    return BY_TYPE[type(a)].eigh(a)  # type: ignore[no-any-return]


def svd(a: Array) -> tuple[Array, Array, Array]:
    """`u, s, vt` with `u @ diag(s) @ vt = a`, in the reduced form, `s` falling.

    Args:
        a: Array of shape `(B, N)`; with `K = min(B, N)`.

    Returns:
        `u` of shape `(B, K)`, `s` of shape `(K,)`, `vt` of shape `(K, N)`. Signs are the
        backend's: fix them before comparing.
    """
    return BY_TYPE[type(a)].svd(a)  # type: ignore[no-any-return]
