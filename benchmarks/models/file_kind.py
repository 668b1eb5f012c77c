"""What a file is that is not a checkpoint, by its first bytes, and what to do with it."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

HEAD_BYTES = 1024
_AGAIN = "download or copy it again"
_CONVERT = "docs/checkpoint.md shows how to convert weights"
# The first bytes, what the file is, and the remedy.
_BINARY: tuple[tuple[bytes, str, str], ...] = (
    (rb"\x93NUMPY", "a NumPy array (.npy)", _CONVERT),
    (rb"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes it", _CONVERT),
    (rb"GGUF", "a GGUF file", _CONVERT),
    (rb".{4}TFL3", "a TensorFlow Lite model", "export the weights from the framework that trained it"),
    (rb"\x08[\x01-\x20][\x12\x1a\x22\x3a\x42]", "an ONNX model", "save the weights of the torch network instead"),
    (rb"\x1f\x8b", "gzip-compressed", "unpack it with gunzip"),
    (rb"BZh\d1AY", "bzip2-compressed", "unpack it with bunzip2"),
    (rb"\xfd7zXZ\0", "xz-compressed", "unpack it with unxz"),
    (rb"\x28\xb5\x2f\xfd", "zstd-compressed", "unpack it with unzstd"),
    (rb"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it"),
    (rb"Rar!", "a RAR archive", "unpack it"),
    (rb".{257}ustar", "a tar archive", "unpack it with tar -xf"),
    (rb"%PDF", "a PDF document", _AGAIN),
    (rb"PAR1", "a Parquet table", "give the path of the checkpoint"),
    (rb"\xff\xd8\xff|\x89PNG|GIF8|RIFF", "a picture or a video", "give the path of the checkpoint"),
)
_TEXT: tuple[tuple[str, str, str], ...] = (
    (r"version https://git-lfs\.github\.com/", "a Git LFS pointer, which stands for the file", "run `git lfs pull`"),
    (r"(<!--.*?-->\s*)?<(!doctype\s+html|html|head|body)", "an HTML page: the server sent a page, not the file",
     "open its address in a browser to see why (a login, a wrong link), and download the file itself"),
    (r"<\?xml|<Error>", "an XML document, such as the error of a storage service", "check the address and download it "
     "again"),
    (r"(outs|md5|wdir):\s", "a DVC pointer, which stands for the file", "run `dvc pull`"),
    (r"[{\[]", "a JSON text", "give the path of the checkpoint"),
)  # fmt: skip


def file_kind(path: Path) -> str:
    """What the file is, and what to do; "" where its first bytes do not tell. Pickles and zip archives are not known.

    Raises OSError when it cannot be read.
    """
    with path.open("rb") as handle:
        head = handle.read(HEAD_BYTES)
    size = path.stat().st_size
    if not head:
        return f"is empty; {_AGAIN}"
    if not head.strip(b"\0"):
        return f"begins with {len(head)} zero bytes: an unfinished download or a damaged disk; {_AGAIN}"
    if 8 < int.from_bytes(head[:8], "little") + 8 <= max(size, HEAD_BYTES << 10) and head[8:9] == b"{":
        return f"is a safetensors file; read it with safetensors.torch.load_file; {_CONVERT}"
    for magic, what, remedy in _BINARY:
        if re.match(magic, head, re.DOTALL):
            return f"is {what}; {remedy}"
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head).strip()  # the last character may be cut
    except UnicodeDecodeError:
        return ""
    for pattern, what, remedy in _TEXT:
        if re.match(pattern, text, re.DOTALL | re.IGNORECASE):
            return f"is {what}; {remedy}"
    printable = all(c.isprintable() or c in "\t\r\n" for c in text)
    first = text.splitlines()[0][:40] if text else ""
    return f"is a text that begins with {first!r}; give the path of the checkpoint" if printable else ""


def zip_kind(names: list[str]) -> str:
    """What a zip archive with files of these names is that torch.save did not write, and what to do."""
    inner = {name.split("/", 1)[-1] for name in names}
    if "constants.pkl" in inner:
        return "is a TorchScript archive, which holds code; save the state_dict of the network instead"
    if inner & {"archive_format", "serialized_exported_program.json"}:
        return "is an exported program (torch.export); save the state_dict of the network instead"
    if names and all(name.endswith(".npy") for name in names):
        return f"is an archive of NumPy arrays (.npz); {_CONVERT}"
    if inner & {"model.weights.h5"}:
        return f"is a Keras model; {_CONVERT}"
    shown = ", ".join(repr(name[:60]) for name in sorted(names)[:3])
    return f"is a zip archive ({shown}{', …' if len(names) > 3 else ''}), not written by torch.save; unpack it"
