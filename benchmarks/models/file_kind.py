"""What a file is, by its first bytes: the format of a model, or what else it is and what to do with it."""

from __future__ import annotations

import codecs
import os
import re
import zipfile
from pathlib import Path

from hgld.foundation.errors import HgldError

HEAD_BYTES = 1024
_ZIP = b"PK\x03\x04"
_ONNX = rb"\x08[\x02-\x20]\x12[\0-\x40][A-Za-z:B]|\x08[\x03-\x20][\x1a\x22\x28\x32\x3a\x42]"
# The first bytes of what can be scored, apart from zip archives and safetensors.
_FORMATS = ((rb"\x93NUMPY", "npy"), (rb"PAR1", "parquet"), (_ONNX, "onnx"), (rb"\x80", "torch"))
# The end of a TensorFlow checkpoint's .index, a table of LevelDB.
_SSTABLE = bytes.fromhex("57fb808b247547db")
# A pickle of protocol 0 consists of printable characters.
_TEXT_PICKLE = re.compile(r"\([dl]p\d+\n|c[\w.]+\n[\w.]+\n")
_AGAIN = "download or copy it again"
_CONVERT = "docs/checkpoint.md shows how to convert weights"
_EMBEDDINGS = "`hgld benchmark` scores embeddings in it"
_BACKBONE = "give --backbone NAME to `hgld benchmark`"
_EXPORT = "export the weights from the framework that trained it"
_OTHER_FILE = "give the path of the checkpoint"
# The first bytes, what the file is, and the remedy.
_BINARY: tuple[tuple[bytes, str, str], ...] = (
    (rb"\x93NUMPY", "a NumPy array (.npy)", _EMBEDDINGS + ", with --ids FILE"),
    (rb"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes it", _CONVERT),
    (rb"GGUF", "a GGUF file", _CONVERT),
    (rb"ggml|lmgg|tjgg|fmgg", "a GGML file", _CONVERT),
    (rb"MATLAB 5\.0", "a MATLAB file (.mat)", _CONVERT),
    (rb"[\x81-\x8f][\xa1-\xbf\xd9]", "a MessagePack file, as Flax writes it", _CONVERT),
    (rb".{4}TFL3", "a TensorFlow Lite model", _EXPORT),
    (_ONNX, "an ONNX model", "`hgld benchmark` scores it as it is; to train it, save the weights of the torch network"),
    (rb"\x08[\0-\x20][\x0a\x12]", "a TensorFlow or Core ML model (a protocol buffer)", _EXPORT),
    (rb"\x1f\x8b", "gzip-compressed", "unpack it with gunzip"),
    (rb"BZh\d1AY", "bzip2-compressed", "unpack it with bunzip2"),
    (rb"\xfd7zXZ\0", "xz-compressed", "unpack it with unxz"),
    (rb"\x28\xb5\x2f\xfd", "zstd-compressed", "unpack it with unzstd"),
    (rb"\x04\x22\x4d\x18", "lz4-compressed", "unpack it with unlz4"),
    (rb"\x5d\0\0[\0-\xff]\0", "lzma-compressed", "unpack it with unlzma"),
    (rb"\x1f\x9d", "compressed by compress (.Z)", "unpack it with uncompress"),
    (rb"\x78[\x01\x5e\x9c\xda]", "zlib-compressed", "unpack it with zlib.decompress"),
    (rb"PK\x05\x06", "an empty zip archive", _AGAIN),
    (rb"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it"),
    (rb"Rar!", "a RAR archive", "unpack it"),
    (rb".{257}ustar", "a tar archive", "unpack it with tar -xf"),
    (rb"%PDF", "a PDF document", _AGAIN),
    (rb"PAR1", "a Parquet table", _EMBEDDINGS),
    (rb"ARROW1", "an Arrow table", _OTHER_FILE),
    (rb"SQLite format 3", "an SQLite database", _OTHER_FILE),
    (rb"\x7fELF|MZ[\0-\xff]\0|\xcf\xfa\xed\xfe|.[\x0b-\x0e]\r\n", "a program", _OTHER_FILE),
    (rb"\xff\xd8\xff|\x89PNG|GIF8|RIFF|.{4}ftyp", "a picture or a video", _OTHER_FILE),
)
_TEXT: tuple[tuple[str, str, str], ...] = (
    (r"version https://git-lfs\.github\.com/", "a Git LFS pointer, which stands for the file", "run `git lfs pull`"),
    (r"(<!--.*?-->\s*)?<(!doctype\s+html|html|head|body|title|meta|script)\b",
     "an HTML page: the server sent a page, not the file",
     "open its address in a browser to see why (a login, a wrong link), and download the file itself"),
    (r"<\?xml|<Error>", "an XML document, such as the error of a storage service", "check the address and download it "
     "again"),
    (r"(outs|md5|wdir):\s", "a DVC pointer, which stands for the file", "run `dvc pull`"),
    (r"(\.\./)*(\.git)?/annex/objects/", "a git-annex pointer, which stands for the file", "run `git annex get`"),
    (r"model_checkpoint_path:", "the list of checkpoints in a TensorFlow folder", _EXPORT),
    (r'\{\s*["}]|\[\s*[\[{"\d\]-]', "a JSON text", _OTHER_FILE),
)  # fmt: skip


def model_format(path: Path) -> str:
    """What can be scored in a file: npy, npz, parquet, onnx, safetensors, torchscript, exported or torch, by contents.

    torch: a zip archive or a pickle, about which torch_file.py says more. "" for everything else. Raises HgldError when
    the file cannot be read.
    """
    try:
        if not path.is_file():
            raise HgldError(folder_kind(path) if path.is_dir() else "is a pipe or a device, not a file")
        with path.open("rb") as handle:
            head = handle.read(HEAD_BYTES)
        if head.startswith(_ZIP):
            return _archive_format(path)
        if _safetensors(head, path.stat().st_size):
            return "safetensors"
    except OSError as error:
        raise HgldError(f"cannot be read: {error.strerror or error}") from None
    return next((name for magic, name in _FORMATS if re.match(magic, head, re.DOTALL)), "")


def _archive_format(path: Path) -> str:
    """As `model_format`, for a zip archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError):
        return "torch"
    inner = {name.split("/", 1)[-1] for name in names}
    if "constants.pkl" in inner:
        return "torchscript"
    if inner & {"archive_format", "serialized_exported_program.json"}:
        return "exported"
    return "npz" if names and all(name.endswith(".npy") for name in names) else "torch"


def is_safetensors(path: Path) -> bool:
    """Whether the file begins as one of safetensors does: the length of a JSON text, and that text."""
    try:
        return model_format(path) == "safetensors"
    except HgldError:
        return False  # who opens it says why


def _safetensors(head: bytes, size: int) -> bool:
    return 8 < int.from_bytes(head[:8], "little") + 8 <= max(size, HEAD_BYTES << 10) and head[8:9] == b"{"


def file_kind(path: Path) -> str:
    """What the file is, and what to do; "" where its first bytes do not tell. Pickles and zip archives are not known.

    Raises OSError when it cannot be read.
    """
    with path.open("rb") as handle:
        head = handle.read(HEAD_BYTES)
        size = handle.seek(0, os.SEEK_END)
        handle.seek(max(0, size - len(_SSTABLE)))
        tail = handle.read()
    if not head:
        return f"is empty; {_AGAIN}"
    if not head.strip(b"\0"):
        return f"begins with {len(head)} zero bytes: an unfinished download or a damaged disk; {_AGAIN}"
    if head[8:9] == b"{" and (length := int.from_bytes(head[:8], "little")) < 1 << 32:
        if length + 8 > size:
            return f"is a truncated safetensors file; {_AGAIN}"
        return f"is a safetensors file; {_BACKBONE}, or read it with safetensors.torch.load_file; {_CONVERT}"
    if tail == _SSTABLE or re.search(r"\.data-\d{5}-of-\d{5}$", path.name):
        return f"is a part of a TensorFlow checkpoint; {_EXPORT}"
    for magic, what, remedy in _BINARY:
        if re.match(magic, head, re.DOTALL):
            return f"is {what}; {remedy}"
    text = _text(head)
    if _TEXT_PICKLE.match(text):
        return ""
    for pattern, what, remedy in _TEXT:
        if re.match(pattern, text, re.DOTALL | re.IGNORECASE):
            return f"is {what}; {remedy}"
    printable = all(c.isprintable() or c in "\t\r\n" for c in text)
    first = text.splitlines()[0][:40] if text else ""
    return f"is a text that begins with {first!r}; give the path of the checkpoint" if printable else ""


def _text(head: bytes) -> str:
    """The beginning of a text in the encoding that it seems to have."""
    for encoding in (
        ("utf-16", "utf-8-sig") if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else ("utf-8-sig",)
    ):
        try:
            return codecs.getincrementaldecoder(encoding)().decode(head).strip()  # the last character may be cut
        except UnicodeDecodeError:
            pass
    return head.decode("latin-1").strip()


def folder_kind(path: Path) -> str:
    """What a folder is that was given for a checkpoint, and what to do."""
    names = {entry.name for entry in path.iterdir()}
    if ".metadata" in names and any(name.endswith(".distcp") for name in names):
        return (
            "is a folder of torch.distributed.checkpoint; make a file of it with "
            "torch.distributed.checkpoint.format_utils.dcp_to_torch_save, then read its weights: " + _CONVERT
        )
    if "saved_model.pb" in names:
        return f"is a TensorFlow model; {_EXPORT}"
    if "data.pkl" in names:
        return "is an unpacked archive of torch.save; give the archive itself, before it was unpacked"
    files = sorted(name for name in names if name.endswith((".pt", ".pth", ".ckpt", ".bin", ".safetensors")))
    return f"is a folder; {_OTHER_FILE}{f', such as {files[0]!r} in it' if files else ''}"


def zip_kind(names: list[str]) -> str:
    """What a zip archive with files of these names is that torch.save did not write, and what to do."""
    inner = {name.split("/", 1)[-1] for name in names}
    if "constants.pkl" in inner:
        return (
            "is a TorchScript archive, which holds code; `hgld benchmark` scores it with --trust; otherwise save the "
            "state_dict of the network instead"
        )
    if inner & {"archive_format", "serialized_exported_program.json"}:
        return (
            "is an exported program (torch.export); `hgld benchmark` scores it with --trust; otherwise save the "
            "state_dict of the network instead"
        )
    if names and all(name.endswith(".npy") for name in names):
        return f"is an archive of NumPy arrays (.npz); {_EMBEDDINGS}: docs/models.md; {_CONVERT}"
    if inner & {"model.weights.h5"}:
        return f"is a Keras model; {_CONVERT}"
    shown = ", ".join(repr(name[:60]) for name in sorted(names)[:3])
    return f"is a zip archive ({shown}{', …' if len(names) > 3 else ''}), not written by torch.save; unpack it"
