"""Files that are made to take all memory, to run for ever, to crash the interpreter or to be no files.

    python hostile_files.py FOLDER

writes each into the folder, where `own.safetensors` is a whole checkpoint, has the command line read it in a process of
its own (a fork: libraries are imported once), and prints a line of JSON for each: what it ended with, what it said, how
long it computed, its children included, and the most memory that it or one of them held.
"""

import io
import json
import os
import pickle
import resource
import shutil
import signal
import socket
import struct
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import torch

PLACE = "{path}"
CHECKPOINT = "{own}"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A file and what is said of it.

    Attributes:
        write: Puts it at the path.
        arguments: The command, with `PLACE` for the file and `CHECKPOINT` for a whole checkpoint.
        message: What one line on stderr holds.
        code: What the command ends with.
        suffix: Of the file.
    """

    write: Callable[[Path], object]
    arguments: tuple[str, ...]
    message: str
    code: int = 4
    suffix: str = ".pt"


def parameters(write: Callable[[Path], object], message: str, code: int = 4, suffix: str = ".pt") -> Case:
    command = ("doctor", "--ckpt", PLACE, "--arch", "lenet5", "--data", "digits")
    return Case(write=write, arguments=command, message=message, code=code, suffix=suffix)


def described(message: str, **change: object) -> Case:
    """A checkpoint of our own whose header says something else."""
    return Case(
        write=lambda path: _checkpoint_file(path, **change), arguments=("doctor", "--ckpt", PLACE), message=message
    )


def data(write: Callable[[Path], object], message: str, code: int = 4, name: str = "npz:{path}") -> Case:
    suffix = f".{name.partition(':')[0]}"
    command = ("doctor", "--ckpt", CHECKPOINT, "--data", name)
    return Case(write=write, arguments=command, message=message, code=code, suffix=suffix)


def names(content: bytes, message: str, code: int = 4) -> Case:
    command = ("doctor", "--ckpt", CHECKPOINT, "--classes", PLACE)
    write = _bytes(content)
    return Case(write=write, arguments=command, message=message, code=code, suffix=".json")


def command(message: str, *options: str) -> Case:
    return Case(write=_bytes(b""), arguments=("plan", "--ckpt", CHECKPOINT, *options), message=message, code=2)


def cases() -> Mapping[str, Case]:
    """All of them by name."""
    return {**_pickles(), **_archives(), **_headers(), **_kinds(), **_arrays(), **_texts(), **_folders(), **_options()}


def _pickles() -> dict[str, Case]:
    depth = 100_000  # the interpreter crashes, or is about to
    lengths = b")q\x00" + b"".join(b"h%ch%c\x86q%c" % (i, i, i + 1) for i in range(100))
    reserve = b"\x80\x02}X\x01\0\0\0ac__builtin__\nbytearray\nJ\xff\xff\xff\x7f\x85Rs."
    return {
        "hash of a tuple": parameters(_zip(b"\x80\x02c__builtin__\nset\n(" + lengths + b"t\x85R."), "computing time"),
        "deep key": parameters(_zip(b"\x80\x02})" + b"\x85" * depth + b"K\x01s."), "reader"),
        "deep list": parameters(_zip(b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b"."), "got <class 'list'>"),
        "two gigabytes of nothing": parameters(_bytes(reserve), "within 0.8 GB of memory"),
        "endless name": parameters(_bytes(b"\x80\x02c" + b"m" * 10**7 + b"\nx\n."), "names of no module"),
        "endless key": parameters(_saved({"k" * 10**7: torch.zeros(1)}), "at most 1000 characters"),
        "no torch": parameters(_bytes(pickle.dumps({"a": 1}, protocol=2)), "damaged"),
    }


def _archives() -> dict[str, Case]:
    sparse = torch.sparse_coo_tensor(
        torch.zeros(2, 1, dtype=torch.long), torch.ones(1), (2**15, 2**14), check_invariants=False
    )
    shared = torch.zeros(1).expand(2**40)
    return {
        "zip bomb": parameters(_zip(bytes(3 * 10**8)), "about the size of its contents"),
        "sparse": parameters(_saved({"weight": sparse}), "about the file's size"),
        "stride 0": parameters(_saved({"weight": shared}), "about the file's size"),
        "links to itself in a zip": parameters(_zip(b"\x80\x02}q\x00X\x01\0\0\0ah\x00s."), "got a dict with 'a'"),
    }


def _headers() -> dict[str, Case]:
    deep = b'{"a":' + b"[" * 10**6 + b"]" * 10**6 + b"}"
    inside = json.dumps({"__metadata__": {"evalsuite": "[" * 10**6}}).encode()
    return {
        "deep header": parameters(_safetensors(deep), "recursion limit", suffix=".safetensors"),
        "deep words": parameters(_safetensors(inside), "evalsuite header", suffix=".safetensors"),
        "classes without end": described("class_count: Input should be less", class_count=10**400, classes=None),
        "ten million classes": described("takes at most 0.8 GB", class_count=10**7, classes=None),
        "large image": described("takes at most 0.8 GB", shape=[1, 20_000, 20_000]),
        "no image": described("shape.1: Input should be greater", shape=[1, 0, 8]),
        "wide": described("takes at most 0.8 GB", arch="mlp", arguments={"width": 100_000}),
    }


def _kinds() -> dict[str, Case]:
    def linked(to: str) -> Callable[[Path], object]:
        return lambda path: path.symlink_to(to)

    return {
        "pipe": parameters(os.mkfifo, "a named pipe", 2),
        "endless device": parameters(linked("/dev/zero"), "a device", 2),
        "socket": parameters(_socket, "a socket", 2),
        "folder": parameters(Path.mkdir, "a folder", 2),
        "link to itself": parameters(lambda path: path.symlink_to(path.name), "Too many levels", 2),
        "terabyte": parameters(_terabyte, "at most"),
        "pipe of arrays": data(os.mkfifo, "a named pipe", 2),
        "endless arrays": data(linked("/dev/zero"), "a device", 2),
        "pipe of numbers": data(os.mkfifo, "a named pipe", 2, "csv:{path}?target=b"),
        "endless numbers": data(linked("/dev/zero"), "a device", 2, "csv:{path}?target=b"),
    }


def _arrays() -> dict[str, Case]:
    images, labels = np.zeros((40, 8, 8, 1), np.uint8), np.arange(40) % 10
    far = np.where(np.arange(40) == 3, 10**8, labels)
    encrypted = bytearray(_npz(x_test=images, y_test=labels))
    entry = encrypted.find(b"PK\x01\x02")
    encrypted[6] |= 1
    encrypted[entry + 8] |= 1
    method = bytearray(_npz(x_test=images, y_test=labels))
    method[8] = method[method.find(b"PK\x01\x02") + 10] = 97
    return {
        "array bomb": data(_npz_of(_npy("|u1", (5 * 10**6, 8, 8, 1), bytes(32 * 10**7))), "at most 268 MB"),
        "claims": data(_npz_of(_npy("<f8", (10**12, 8, 8, 1))), "within"),
        "far label": data(_bytes(_npz(x_test=images, y_test=far)), "labels below 1000000"),
        "label beyond integers": data(_bytes(_npz(x_test=images, y_test=np.full(40, 1e300))), "labels below 1000000"),
        "spans of time": data(_bytes(_npz(x_test=images, y_test=labels.astype("m8[s]"))), "class numbers"),
        "encrypted": data(_bytes(bytes(encrypted)), "is encrypted"),
        "unknown compression": data(_bytes(bytes(method)), "compression method"),
        "open brackets": data(_npz_of(_header_of_npy(b"(" * 9000)), "got an error"),
        "no array inside": data(_npz_of(b"hello"), "got no array"),
    }


def _texts() -> dict[str, Case]:
    wide = ",".join(f"c{i}" for i in range(200_000)).encode() + b"\n1\n"
    return {
        "columns without end": data(_bytes(wide), "at most 100000 columns", 2, "csv:{path}?target=b"),
        "deep names": names(b"[" * 10**6, "recursion"),
        "deep mapping of names": names(b'{"a":' * 10**5, "recursion"),
        "digits without end": names(b'{"a":' + b"9" * 10**5 + b"}", "integer string"),
        "endless class": names(b'["' + b"a" * 10**7 + b'","b"]', "at most 1000 characters"),
        "names without end": names(json.dumps(["a"] * 1_000_001).encode(), "at most 1000000 names"),
    }


def _folders() -> dict[str, Case]:
    return {
        "ways without end": data(_fan, "many ways", 4, "folder:{path}?size=8&channels=1"),
        "pipe among photos": data(_photos_and_a_pipe, "a named pipe", 4, "folder:{path}?size=8&channels=1"),
    }


def _options() -> dict[str, Case]:
    return {
        "ratios without end": command("at most 1000 ratios", "--ratios", "0:1:1e-9"),
        "threads without end": command("--threads: expected a number <= 256, got 100000", "--threads", "100000"),
    }


def _bytes(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def _saved(value: object) -> Callable[[Path], object]:
    return lambda path: torch.save(value, path)


def _zip(pickled: bytes) -> Callable[[Path], object]:
    entries = {"a/data.pkl": pickled, "a/version": b"3\n", "a/byteorder": b"little"}
    return lambda path: path.write_bytes(_packed(entries))


def _packed(entries: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _safetensors(header: bytes) -> Callable[[Path], object]:
    return _bytes(struct.pack("<Q", len(header)) + header)


def _checkpoint_file(path: Path, **change: object) -> None:
    whole = (path.parent / "own.safetensors").read_bytes()
    length = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + length])
    header["__metadata__"]["evalsuite"] = json.dumps({**json.loads(header["__metadata__"]["evalsuite"]), **change})
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + whole[8 + length :])


def _npz(**arrays: object) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def _npz_of(images: bytes) -> Callable[[Path], object]:
    labels = io.BytesIO()
    np.save(labels, np.arange(40) % 10)
    return lambda path: path.write_bytes(_packed({"x_test.npy": images, "y_test.npy": labels.getvalue()}))


def _npy(descr: str, shape: tuple[int, ...], content: bytes = b"") -> bytes:
    return _header_of_npy(repr({"descr": descr, "fortran_order": False, "shape": shape}).encode()) + content


def _header_of_npy(text: bytes) -> bytes:
    padded = text + b" " * (-(len(text) + 13) % 64) + b"\n"
    return b"\x93NUMPY\x02\x00" + struct.pack("<I", len(padded)) + padded


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        # the names of sockets are short
        os.chdir(path.parent)
        listening.bind(path.name)


def _terabyte(path: Path) -> None:
    with path.open("wb") as file:
        file.write(b"\x80\x02}.")
        file.truncate(10**12)


def _fan(path: Path) -> None:
    """Thirty folders, each with two links to the next: a thousand million ways to the last."""
    for number in range(30):
        (path / f"d{number}").mkdir(parents=True)
        for link in "xy":
            (path / f"d{number}" / link).symlink_to(f"../d{number + 1}")


def _photos_and_a_pipe(path: Path) -> None:
    for name in ("a", "b"):
        (path / name).mkdir(parents=True)
        os.mkfifo(path / name / "0.png")


def main(folder: Path) -> None:
    for module in ("evalsuite.inputs.read", "evalsuite.pipeline"):
        import_module(module)
    torch.set_num_threads(1)
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    whole = Case(write=_bytes(b""), arguments=("doctor", "--ckpt", CHECKPOINT), message="")
    for name, case in {"whole": whole, **cases()}.items():
        path = folder / f"file{case.suffix}"
        case.write(path)
        os.chdir(elsewhere)
        messages = {CHECKPOINT: str(folder / "own.safetensors"), PLACE: str(path)}
        arguments = [messages.get(each, each.replace("{path}", str(path))) for each in case.arguments]
        sys.stdout.write(json.dumps({"name": name, **_outcome(arguments)}) + "\n")
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    sys.stdout.write(json.dumps({"name": "left behind", "files": sorted(map(str, elsewhere.rglob("*")))}) + "\n")


def _outcome(arguments: list[str]) -> dict[str, object]:
    with tempfile.TemporaryFile() as words:
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            _run(arguments, words.fileno())
        _, status, used = os.wait4(child, 0)
        words.seek(0)
        output = words.read(10**6).decode(errors="backslashreplace")
    code = os.waitstatus_to_exitcode(status)
    return {"code": code, "said": output, "seconds": used.ru_utime + used.ru_stime, "memory": used.ru_maxrss * 1024}


def _run(arguments: list[str], words: int) -> None:
    from evalsuite.cli import cli
    from evalsuite.cli._console import guarded

    # what is not held back must not take the machine with it
    resource.setrlimit(resource.RLIMIT_AS, (2**34, 2**34))
    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
    signal.alarm(600)
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(words, 1)
    os.dup2(words, 2)
    sys.argv = ["evalsuite", *arguments]
    try:
        guarded(cli)
    except SystemExit as error:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(error.code if isinstance(error.code, int) else 0)
    os._exit(99)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
