"""Threads change the time, never the result."""

import os
import threading
import time

import pytest
from threadpoolctl import threadpool_info

from jointprob.threads import n_threads, one_blas_thread, run_blocks, run_tasks


def test_results_come_in_the_order_of_the_tasks():
    def task(i):
        time.sleep(0.002 * (8 - i))
        return i

    assert run_tasks([lambda i=i: task(i) for i in range(8)], n_jobs=4) == list(range(8))


@pytest.mark.parametrize("n_jobs", [1, 2, 5, None])
@pytest.mark.parametrize("n_rows", [0, 1, 7, 8, 9, 100])
def test_blocks_cover_the_rows_once_whatever_the_threads(n_rows, n_jobs):
    blocks = run_blocks(lambda start, stop: (start, stop), n_rows, 8, n_jobs)
    assert [row for block in blocks for row in range(*block)] == list(range(n_rows))
    assert all(stop - start == 8 for start, stop in blocks[:-1])


def test_tasks_run_at_the_same_time():
    both = threading.Barrier(2, timeout=30)
    assert sorted(run_tasks([both.wait, both.wait], n_jobs=2)) == [0, 1]


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_the_first_error_in_order_is_raised(n_jobs):
    def fail(start, stop):
        if start >= 20:
            time.sleep(0.01 if start == 20 else 0)
            raise ValueError(f"row {start}")

    with pytest.raises(ValueError, match="row 20"):
        run_blocks(fail, 40, 10, n_jobs)
    assert run_blocks(lambda start, stop: stop, 20, 10, n_jobs) == [10, 20]


def test_a_nested_call_runs_in_the_thread_that_made_it():
    def inner(start, stop):
        return threading.get_ident()

    def outer(start, stop):
        return {threading.get_ident()} == set(run_blocks(inner, 100, 1, n_jobs=8))

    assert all(run_blocks(outer, 300, 1, n_jobs=8))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_a_forked_child_gets_a_pool_of_its_own():
    run_blocks(lambda start, stop: None, 8, 1, n_jobs=4)
    child = os.fork()
    if child == 0:
        both = threading.Barrier(2, timeout=10)
        try:
            ok = sorted(run_tasks([both.wait, both.wait], n_jobs=2)) == [0, 1]
        except BaseException:  # noqa: BLE001 (a child must not reach pytest)
            ok = False
        os._exit(0 if ok else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_the_limit_of_blas_is_lifted_by_the_last_to_go():
    def blas_threads():
        return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]

    before, first, second = blas_threads(), one_blas_thread(), one_blas_thread()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert set(blas_threads()) == {1}
    second.__exit__(None, None, None)
    assert blas_threads() == before


def test_n_jobs_counts_as_in_joblib():
    assert n_threads(3) == 3
    assert n_threads(None) == n_threads(-1) >= 1
    with pytest.raises(ValueError, match="n_jobs is 0"):
        n_threads(0)
