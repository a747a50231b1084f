"""LLVM source as functions of this process; object code is cached on disk by its content."""

import ctypes
import hashlib
import os
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding as llvm

from thalweg.execution.lowering.codegen_cache import kernels_folder
from thalweg.population.native.places import Unsupported

PRODUCT = "thalweg_product"  # the symbol of BLAS's product of matrices, in generated source

FORMAT = 2  # of the files
DIGEST = 32  # bytes before the code, by which a damaged file is told

_TURN = threading.RLock()
_ENGINES: list[Any] = []  # they own the code, which is used to the end of the process


class Compiled:
    """The functions of a module.

    product: the symbol in this process and the address of what it calls `PRODUCT`, if it does.
    """

    def __init__(self, text: str, product: tuple[str, int] | None = None) -> None:
        with _TURN:
            if product is not None:
                llvm.add_symbol(*product)
                text = text.replace(PRODUCT, product[0])
            self._engine = _engine(text)
            _ENGINES.append(self._engine)

    def address(self, name: str) -> int:
        return int(self._engine.get_function_address(name))


def _engine(text: str) -> Any:
    machine = _machine()
    module = llvm.parse_assembly(text)
    module.triple = machine.triple
    module.data_layout = str(machine.target_data)
    missing = [f.name for f in module.functions if _is_outside(f) and not _is_known(f.name)]
    if missing:  # LLVM would end the process
        raise Unsupported(f"{', '.join(missing)} is not in this process")
    key = hashlib.sha256(f"{FORMAT}\n{llvmlite.__version__}\n{_host()}\n{text}".encode()).hexdigest()[:24]
    path = kernels_folder() / f"native_{key}.o"
    kept = _read(path)
    if kept is None:
        _optimize(module, machine)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.set_object_cache(lambda _, code: _write(path, code), lambda _: kept)
    engine.finalize_object()
    return engine


def _is_outside(function: Any) -> bool:
    return bool(function.is_declaration) and not function.name.startswith("llvm.")


def _is_known(name: str) -> bool:
    """Whether a function is in this process; LLVM is told where."""
    if llvm.address_of_symbol(name) is None:
        try:
            address = ctypes.cast(getattr(ctypes.CDLL(None), name), ctypes.c_void_p).value
        except (AttributeError, OSError, TypeError):
            return False
        llvm.add_symbol(name, address)
    return True


def _optimize(module: Any, machine: Any) -> None:
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = options.slp_vectorization = True
    passes = llvm.create_pass_builder(machine, options)
    passes.getModulePassManager().run(module, passes)


@cache
def _host() -> tuple[str, str]:
    return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


def _machine() -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    cpu, features = _host()
    return llvm.Target.from_default_triple().create_target_machine(cpu=cpu, features=features, opt=3, jit=True)


def _read(path: Path) -> bytes | None:
    """Object code that was kept; `None` where there is none, or not as it was written."""
    try:
        whole = path.read_bytes()
    except OSError:
        return None
    digest, code = whole[:DIGEST], whole[DIGEST:]
    return code if hashlib.sha256(code).digest() == digest else None


def _write(path: Path, code: bytes) -> None:
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(code).digest() + code)
        Path(temporary).replace(path)
    except OSError:  # a full disk: it is compiled again next time
        return


PROTOTYPE = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)  # a call releases the GIL
