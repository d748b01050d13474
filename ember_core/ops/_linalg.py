"""Products and factorisations of matrices."""

from __future__ import annotations

from ._elementwise import abs, sqrt, square  # noqa: A004
from ._reduction import Axis, max, sum  # noqa: A004
from ._select import BY_TYPE, BY_TYPES, Array


def matmul(x: Array, y: Array) -> Array:
    """Matrix product by the backend's own routine.

    Its bits may depend on the other rows of the batch: inference uses `exact_matmul`.

    Args:
        x: Array of shape `(..., B, V)`.
        y: Array of shape `(..., V, N)`.

    Returns:
        Array of shape `(..., B, N)`.
    """
    return BY_TYPES[type(x), type(y)].matmul(x, y)


def einsum(subscripts: str, *operands: Array) -> Array:
    """Sum of products by Einstein's convention, such as `einsum("bv,vn->bn", x, w)`."""
    return BY_TYPES[tuple(map(type, operands))].einsum(subscripts, *operands)


def outer(x: Array, y: Array) -> Array:
    """Product of each of `x` `(B,)` with each of `y` `(N,)`, shape `(B, N)`."""
    return x[:, None] * y[None, :]


def norm(x: Array, ord: float = 2, axis: Axis = None, keepdims: bool = False) -> Array:  # noqa: A002
    """Length of vectors: `sum(|x| ** ord) ** (1 / ord)` over `axis`, all elements without one.

    Args:
        x: Array.
        ord: 1, 2 or `float("inf")`; 2 over all elements of a matrix is its Frobenius norm.
        axis: Axis or axes of the vectors.
        keepdims: Whether they stay, with length 1.

    Raises:
        ValueError: If `ord` is another one.
    """
    if ord == 2:
        return sqrt(sum(square(x), axis, keepdims))
    if ord == 1:
        return sum(abs(x), axis, keepdims)
    if ord == float("inf"):
        return max(abs(x), axis, keepdims)
    raise ValueError(f"There is no such norm here. Expected 1, 2 or inf. Received: ord={ord!r}.")


def trace(a: Array) -> Array:
    """Sum of the main diagonal of the matrix `a`."""
    return sum(BY_TYPE[type(a)].diagonal(a))


def det(a: Array) -> Array:
    """Determinant of `a` of shape `(N, N)`."""
    return BY_TYPE[type(a)].det(a)


def inv(a: Array) -> Array:
    """Inverse of `a` of shape `(N, N)`; to solve an equation `solve` is better."""
    return BY_TYPE[type(a)].inv(a)


def pinv(a: Array) -> Array:
    """Pseudo-inverse `(N, B)` of `a` `(B, N)`, after Moore and Penrose."""
    return BY_TYPE[type(a)].pinv(a)


def qr(a: Array) -> tuple[Array, Array]:
    """`q` `(B, K)` with orthonormal columns and `r` `(K, N)` upper triangular, `q @ r = a`.

    Args:
        a: Array of shape `(B, N)`; with `K = min(B, N)`. Signs are the backend's.
    """
    return BY_TYPE[type(a)].qr(a)  # type: ignore[no-any-return]


def solve(a: Array, b: Array) -> Array:
    """`x` such that `a @ x = b`, for `a` of shape `(N, N)` and `b` of shape `(N, K)`."""
    return BY_TYPES[type(a), type(b)].solve(a, b)


def lstsq(a: Array, b: Array) -> Array:
    """`x` of shape `(N, K)` of least `|a @ x - b|`, for `a` of `(B, N)` and `b` of `(B, K)`."""
    return BY_TYPES[type(a), type(b)].lstsq(a, b)


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
