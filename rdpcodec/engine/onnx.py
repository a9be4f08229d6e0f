"""The networks of a released model, run by ONNX Runtime on a processor.

The graphs come with the weights, and read them from the release's file (`rdpcodec.training.export.graphs`).
What is not a network is NumPy here: the checkerboard, the encoder's rounding, and pixels' final rounding.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache, cached_property
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakSet

import numpy as np

from rdpcodec.engine import sessions
from rdpcodec.engine.checkerboard import Half, half_of, put_half
from rdpcodec.engine.threads import use_threads
from rdpcodec.entropy.integers import rate_bias
from rdpcodec.entropy.rounding import round_by_rate
from rdpcodec.entropy.tables import ESCAPE_LIMIT
from rdpcodec.errors import WeightsError
from rdpcodec.extras import need_torch
from rdpcodec.format import container
from rdpcodec.format.symbols import Symbols, hyper_reach
from rdpcodec.format.tiles import HYPER_FACTOR, PATCH
from rdpcodec.weights.release import ReleasedModel

if TYPE_CHECKING:
    import onnxruntime

    from rdpcodec.engine.torch import TorchEngine


_MEANS = "first_means", "second_means"
_engines: WeakSet[OnnxEngine] = WeakSet()


class OnnxFeatures(NamedTuple):
    """`rdpcodec.model.transforms.AnalysisFeatures` as float32 arrays."""

    eighth: np.ndarray
    bypass: np.ndarray


class OnnxEngine:
    """See `rdpcodec.engine.interface.Engine`. May be shared between threads."""

    def __init__(self, released: ReleasedModel) -> None:
        """Nothing is loaded before it is used. Raises `WeightsError` for weights without graphs."""
        if not released.has_graphs:
            raise WeightsError(
                f"model {released.name!r} was exported without the graphs that ONNX Runtime needs: "
                "`rdpcodec train graphs FOLDER` adds them"
            )
        size = released.architecture
        self.latents, self.hyper_latents = size.latents, size.hyper_latents
        self.analysis_margin = size.analysis_margin
        self.synthesis_margin = size.synthesis_margin
        self._released = released
        self._differentiable: TorchEngine | None = None
        self._sessions: dict[str, onnxruntime.InferenceSession] = {}
        self._loading = self._locks()
        _survive_forks()
        _engines.add(self)

    @cached_property
    def _residual_bits(self) -> np.ndarray:
        return self._released.latent_tables.costs()

    def prepare(self, realism: float) -> None:
        """See `Engine.prepare`."""
        needed = (*_MEANS, *self._syntheses(realism))  # in this order, after the tables
        missing = [name for name in needed if name not in self._sessions]
        if missing:
            threading.Thread(target=self._load, args=(missing,), name="rdpcodec-loading").start()

    def features(self, pixels: np.ndarray) -> OnnxFeatures:
        """See `Engine.features`."""
        bottom, right = (-side % PATCH for side in pixels.shape[1:3])
        padded = np.pad(pixels, ((0, 0), (0, bottom), (0, right), (0, 0)), mode="edge")
        return OnnxFeatures(*self._run("features", pixels=padded))

    def analyse(self, features: OnnxFeatures, quality: float) -> np.ndarray:
        """See `Engine.analyse`."""
        (latents,) = self._run("analysis", **features._asdict(), quality=_stored(quality))
        return latents

    def to_symbols(self, latents: np.ndarray, quality: float) -> list[Symbols]:
        """See `Engine.to_symbols`."""
        hyper = self._hyper(latents, quality)
        tables = self.tables(hyper, quality, latents.shape[2:])
        limit = float(ESCAPE_LIMIT)

        residual = np.empty(latents.shape, np.int32)

        def rounded(mean: np.ndarray, half: Half) -> np.ndarray:
            exact, tables_of_half = half_of(latents, half), half_of(tables, half)
            chosen = round_by_rate(exact - mean, tables_of_half, quality, self._residual_bits)
            np.clip(chosen, -limit, limit, out=chosen)
            put_half(residual, chosen, half)
            return chosen

        self._two_pass(hyper, quality, latents.shape, rounded)
        parts = hyper.astype(np.int32), tables, residual
        return [Symbols(*symbols) for symbols in zip(*parts, strict=True)]

    def tables(self, hyper: np.ndarray, quality: float, size: tuple[int, ...]) -> np.ndarray:
        """See `Engine.tables`."""
        scale, stored = self._released.scale, container.stored_quality(quality)
        (tables,) = self._run(
            "scales",
            hyper=hyper.astype(np.float32),
            enter_bias=rate_bias(scale.enter_bias, stored).astype(np.float32),
            leave_bias=rate_bias(scale.leave_bias, stored).astype(np.float32),
            size=np.array(size),
        )
        return tables

    def from_symbols(self, symbols: Sequence[Symbols], quality: float) -> np.ndarray:
        """See `Engine.from_symbols`."""
        hyper, residual = (
            np.stack(arrays, dtype=np.float32, casting="same_kind")
            for arrays in ([s.hyper for s in symbols], [s.residual for s in symbols])
        )
        return self._two_pass(hyper, quality, residual.shape, lambda _, half: half_of(residual, half))

    def synthesise(self, latents: np.ndarray, quality: float, realism: float) -> np.ndarray:
        """See `Engine.synthesise`."""
        x = self._mixed(latents, quality, realism)
        np.clip(x, 0, 1, out=x)
        x *= 255
        levels = np.rint(x, out=x).astype(np.uint8)
        pixels = np.empty((len(x), *x.shape[2:], 3), np.uint8)
        for channel in range(3):  # one at a time, which takes half as long as transposing
            pixels[..., channel] = levels[:, channel]
        return pixels

    def with_gradients(self) -> TorchEngine:
        """See `Engine.with_gradients`. Loaded when first asked for."""
        need_torch("effort 1 to 9")
        import torch

        from rdpcodec.engine.torch import TorchEngine

        with self._loading["gradients"]:
            if self._differentiable is None:
                self._differentiable = TorchEngine(self._released, torch.device("cpu"))
            return self._differentiable

    def _mixed(self, latents: np.ndarray, quality: float, realism: float) -> np.ndarray:
        """`rdpcodec.engine.torch.mixed`, in NumPy."""
        names, stored = self._syntheses(realism), _stored(quality)
        decoded = [self._run(name, latents=latents, quality=stored)[0] for name in names]
        if len(decoded) == 1:
            return decoded[0]
        fidelity, x = decoded
        x -= fidelity
        x *= realism
        x += fidelity
        return x

    def _syntheses(self, realism: float) -> tuple[str, ...]:
        """The networks whose pixels are mixed at a realism."""
        if realism == 0 or not self._released.has_realism:
            return ("synthesis",)
        return ("realism",) if realism == 1 else ("synthesis", "realism")

    def _hyper(self, latents: np.ndarray, quality: float) -> np.ndarray:
        """Latents `[B, N, h, w]` → hyper-latents within the reach of their tables, integers in float32."""
        bottom, right = (-side % HYPER_FACTOR for side in latents.shape[2:])
        padded = np.pad(latents, ((0, 0), (0, 0), (0, bottom), (0, right)), mode="edge")
        (hyper,) = self._run("hyper_latents", latents=padded)
        reach = hyper_reach(self._released.hyper_tables, hyper.shape[1:], quality).astype(np.float32)
        return np.clip(np.floor(hyper + np.float32(0.5)), -reach, reach)

    def _two_pass(
        self,
        hyper: np.ndarray,
        quality: float,
        shape: tuple[int, ...],
        residual_of: Callable[[np.ndarray, Half], np.ndarray],
    ) -> np.ndarray:
        """All latents, of `shape`, as `rdpcodec.model.prior.MeanNetwork.two_pass` finds them. residual_of:
        the means of one half → its residuals; halves as in `rdpcodec.engine.checkerboard`.
        """
        size = np.array(shape[2:])
        features, mean = self._run("first_means", hyper=hyper, size=size, quality=_stored(quality))
        latents = np.zeros(shape, np.float32)
        put_half(latents, mean + residual_of(mean, 0), 0)
        # The anchors, and zero where latents are not known yet.
        (mean,) = self._run("second_means", features=features, anchors=latents)
        put_half(latents, mean + residual_of(mean, 1), 1)
        return latents

    def start_anew(self) -> None:
        """Load every graph again when it is next used. For a forked process, where sessions wait for threads
        that only the parent has.
        """
        for session in self._sessions.values():
            # Never freed: its end would wait for those threads, at the latest when the interpreter ends.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))
        self._sessions, self._loading = {}, self._locks()

    def _run(self, name: str, **inputs: np.ndarray) -> list[np.ndarray]:
        """The outputs of a graph."""
        return self._session(name).run(None, {k: np.ascontiguousarray(x) for k, x in inputs.items()})

    def _load(self, names: Sequence[str]) -> None:
        with suppress(WeightsError):  # raised again where a network is used
            for name in names:
                self._session(name)

    def _locks(self) -> dict[str, threading.Lock]:
        """Locks that keep two threads from loading the same network."""
        return {name: threading.Lock() for name in (*self._released.graphs, "gradients")}

    def _session(self, name: str) -> onnxruntime.InferenceSession:
        with self._loading[name]:
            if name not in self._sessions:
                self._sessions[name] = sessions.load(str(self._released.graphs[name]))
            return self._sessions[name]


@cache
def _survive_forks() -> None:
    """Let processes forked from now on load networks of their own, with one thread each, and then end."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_start_anew)


def _start_anew() -> None:
    use_threads(1)
    sessions.start_anew()
    for engine in list(_engines):
        engine.start_anew()
    _end_at_once()


def _end_at_once() -> None:
    """Make this process end as soon as Python has: ONNX Runtime's destructors would wait for its threads.

    glibc begins with what was registered last, and passes the exit status on. Elsewhere, processes are not
    forked by default.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "on_exit"):
        library.on_exit(library._exit, None)


def _stored(quality: float) -> np.ndarray:
    """The quality exactly as the file stores it."""
    return np.array([container.rounded_quality(quality)], np.float32)
