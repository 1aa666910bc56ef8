"""The workers of a Dask cluster, which read the files of a data set or predict images.

Dask and not Ray: pure Python, a tenth of the size, and an executor as the standard library's, so that the code that
reads is the same. A worker that dies loses nothing: Dask gives its tasks to another. The workers need this package, and
must see the files under the same paths, or in a store.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from custom_networks.errors import UserError

_CONNECT = "20s"
_RETRIES = 3  # of a task whose worker died


@contextmanager
def cluster_pool(address: str) -> Iterator[Executor]:
    """Open a pool of the workers of a cluster.

    Args:
        address: of the scheduler, such as tcp://10.0.0.1:8786.

    Yields:
        An executor, whose functions and arguments must be ones that pickle.

    Raises:
        UserError: without Dask, where no scheduler answers or no worker is there, or where workers die repeatedly.
    """
    try:
        from distributed import Client
        from distributed.client import FutureCancelledError
        from distributed.scheduler import KilledWorker, NoValidWorkerError
    except ImportError as error:
        raise UserError(
            f"--cluster {address}: needs a package that is missing ({error.name}); run `pip install 'sgdnet[cluster]'`"
        ) from None
    try:
        client = Client(address, timeout=_CONNECT, set_as_default=False)
    except (OSError, ValueError) as error:  # TimeoutError is an OSError
        reason = " ".join(str(error).split())
        raise UserError(
            f"--cluster {address}: no scheduler answers ({reason}); start one with `dask scheduler`, and workers with "
            "`dask worker`"
        ) from None
    with client:
        if not client.scheduler_info(n_workers=-1)["workers"]:
            raise UserError(f"--cluster {address}: has no worker; start some with `dask worker {address}`")
        try:
            yield client.get_executor(pure=False, retries=_RETRIES)
        except (KilledWorker, NoValidWorkerError, FutureCancelledError) as error:
            raise UserError(
                f"--cluster {address}: workers died at work ({' '.join(str(error).split())[:200]}), perhaps "
                "for want of memory; give them more, and run the command again"
            ) from None
