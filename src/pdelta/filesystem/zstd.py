"""Where zstd comes from: the standard library from Python 3.14 on, its backport before."""

import sys

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdCompressor, ZstdError, decompress, get_frame_info
else:
    from backports.zstd import ZstdCompressor, ZstdError, decompress, get_frame_info

__all__ = ["ZstdCompressor", "ZstdError", "decompress", "get_frame_info"]
