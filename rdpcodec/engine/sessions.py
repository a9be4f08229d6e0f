"""ONNX Runtime sessions for a process that is not alone on its machine: no more threads than it is given,
which sleep while they wait, and one memory for the networks of all models.
"""

from __future__ import annotations

from functools import cache

import onnxruntime

from rdpcodec.engine.threads import chosen_threads, cores
from rdpcodec.errors import WeightsError

_memory_is_shared = True


def load(path: str) -> onnxruntime.InferenceSession:
    """A session that runs the graph of a file. Raises `WeightsError` when the graph cannot be run."""
    options = onnxruntime.SessionOptions()
    # A thread count of our own: with ONNX Runtime's, each thread is bound to a core, and so are those of the
    # next process.
    options.intra_op_num_threads = chosen_threads() or cores()
    # Threads that wait for work sleep. Spinning would take the cores from other processes.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # A memory plan is one block for all that a network needs, kept for every size of image.
    options.enable_mem_pattern = False
    if _memory_is_shared:
        _share_memory()
        options.add_session_config_entry("session.use_env_allocators", "1")
    options.log_severity_level = 3  # errors
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # whatever ONNX Runtime raises: its classes have no common base
        raise WeightsError(f"{path}: {str(error).splitlines()[0]}") from error


def start_anew() -> None:
    """Give each session loaded from now on a memory of its own. For a forked process, where the shared memory
    may be locked by a thread that only the parent has.
    """
    global _memory_is_shared
    _memory_is_shared = False


@cache
def _share_memory() -> None:
    """Make sessions take memory from one arena. With one each, all keep what their largest image took."""
    kind, of = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, onnxruntime.OrtMemType.DEFAULT
    try:
        onnxruntime.create_and_register_allocator(onnxruntime.OrtMemoryInfo("Cpu", kind, 0, of), None)
    except Exception:  # there is one already: the user's own, which serves as well
        return
