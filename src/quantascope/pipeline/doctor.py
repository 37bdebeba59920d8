"""What this machine has, in the words a bug report needs."""

import importlib.util
import os
import platform
import socket
from importlib.metadata import PackageNotFoundError, version
from typing import Final

__all__ = ["examine_machine"]

_PACKAGES: Final = ("quantascope", "numpy", "scipy", "pyarrow", "zarr", "torch", "transformers")
_HUB: Final = ("huggingface.co", 443)
_HUB_TIMEOUT_S: Final = 3.0


def examine_machine() -> dict[str, str]:
    """Say versions, processor, bf16, GPU, and whether a model hub can be reached.

    Returns
    -------
    dict[str, str]
        Name and finding, in the order to print; nothing is written or changed.
    """
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed (pip install 'quantascope[lm]')"
    found["cores"] = str(os.cpu_count())
    found.update(_torch_findings())
    found["hub"] = _hub()
    return found


def _torch_findings() -> dict[str, str]:
    if importlib.util.find_spec("torch") is None:
        return {}
    import torch

    capability = torch.backends.cpu.get_cpu_capability()
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"
    return {"vector units": capability, "bf16": _bf16(), "gpu": gpu}


def _bf16() -> str:
    import torch

    if getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)():
        return "yes, matrix units (AMX)"
    if getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)():
        return "yes, vector units (AVX512-BF16)"
    return "emulated, slower than float32"


def _hub() -> str:
    if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
        return "offline by HF_HUB_OFFLINE"
    try:
        socket.create_connection(_HUB, timeout=_HUB_TIMEOUT_S).close()
    except OSError as error:
        return f"not reachable ({error}); use a local folder, a .gguf file or a suite"
    return "reachable"
