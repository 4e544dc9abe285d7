"""Files of arrays, for tests that make their data and need no NumPy."""
import struct


def npy(kind, shape, values):
    """The bytes of a .npy file: kind "<f4" or "<i4", values in row-major order."""
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (-(10 + len(header) + 1) % 64) + "\n"
    code = {"<f4": "f", "<i4": "i"}[kind]
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + struct.pack(
        f"<{len(values)}{code}", *values)
