"""Damaged packs, and packs of strangers: one error that names pack and member, and nothing is believed."""

from __future__ import annotations

import io
import os
import sys
import zipfile

import pytest
from command_line import tlbench
from packed_results import files, loaded
from tiny_results import results_file_of

from tlbench import records
from tlbench.checks import check_contribution, check_results
from tlbench.errors import TlbenchError
from tlbench.records import merge, packing, packs
from tlbench.records.candidates import facts_file, sealed_facts
from tlbench.session import load_suite

NAME = "0123456789abcdef.npz"


def zipped(*members: tuple[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip of some members as zipfile writes it, whatever their names."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()


def test_a_damaged_loose_file_is_not_packed_and_a_whole_one_mends_a_pack(folder):
    results = folder / "results"
    one = next(record for record in records.read_all(results) if record.entry == "coral")
    file, loose = records.predictions_file(results, "tiny", one.scores.predictions), len(files(results))
    content = file.read_bytes()
    file.write_bytes(content[:-5])
    packed = packing.pack(results, "tiny")
    assert packed.damaged == (file,) and packed.files == loose - 1 and file.read_bytes() == content[:-5]
    file.write_bytes(content)
    packing.pack(results, "tiny")
    pack = packs.pack_file(results, "tiny", "predictions", "coral")
    whole = pack.read_bytes()
    pack.write_bytes(whole.replace(content, content[:-60] + b"x" + content[-59:]))
    with pytest.raises(TlbenchError, match=rf"coral\.zip: The member {file.name} has another content"):
        packing.unpack(results, "tiny")
    assert records.predictions(results, one) is None and pack.exists()
    file.write_bytes(content)
    packing.pack(results, "tiny")
    assert pack.read_bytes() == whole and not file.exists()


DAMAGE = {
    "cut off": (lambda whole: whole[:-100], "The pack is cut off"),
    "empty": (lambda whole: b"", "The pack is cut off"),
    "text": (lambda whole: b"text " * 100, "The pack is cut off"),
    "its start is lost": (lambda whole: whole[50:], "does not fit its bytes"),
    "a path upwards": (lambda whole: zipped(("../x.npz", b"")), "'../x.npz' has no name of"),
    "an absolute path": (lambda whole: zipped(("/tmp/x.npz", b"")), "'/tmp/x.npz' has no name of"),
    "a control sequence": (lambda whole: zipped(("\x1b[2J.npz", b"")), r"'\x1b[2J.npz' has no name of"),
    "a long name": (lambda whole: zipped(("a" * 60_000, b"")), f"'{'a' * 80}' has no name of"),
    "a bomb": (lambda whole: zipped((NAME, bytes(2**22)), compression=zipfile.ZIP_DEFLATED), f"{NAME} is compressed"),
    "a large member": (lambda whole: zipped((NAME, bytes(5000))), f"{NAME} has more than 4,096 bytes"),
    "twice the same": (lambda whole: zipped((NAME, b""), (NAME, b"")), f"There are two members {NAME}"),
    "another content": (lambda whole: zipped((NAME, b"other")), f"{NAME} has another content than its name states"),
    "pickled": (lambda whole: zipped((NAME, b"\x80\x04N.")), f"{NAME} has another content than its name states"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", DAMAGE)
@pytest.mark.parametrize("kind", packs.KINDS)
def test_a_damaged_pack_is_one_error_that_names_pack_and_member(ran, tmp_path, monkeypatch, kind, name):
    file = results_file_of(ran, tmp_path)
    results = file.parents[1]
    packing.pack(results, "tiny")
    change, text = DAMAGE[name]
    pack = packs.pack_file(results, "tiny", kind, "coral")
    pack.write_bytes(change(pack.read_bytes()))
    if name == "a large member":
        monkeypatch.setattr(packing, "MAX_FILE_BYTES", 4096)
        monkeypatch.setattr(packing, "MAX_FACTS_BYTES", 4096)
    for check in (lambda: check_results(file), lambda: check_contribution(file, load_suite(ran / "tiny.toml"))):
        with pytest.raises(TlbenchError) as raised:
            check()
        message = str(raised.value)
        assert message.startswith(f"{pack}: ") and text in message and message.count("coral.zip") == 1 and "\n" not in message
    with pytest.raises(TlbenchError, match=r"coral\.zip: "):
        merge.merge([results], tmp_path / "out")
    record = records.read(file)[0]
    if kind == "predictions":
        assert records.predictions(results, record) is None
    elif name in ("another content", "pickled", "a large member"):
        assert sealed_facts(results, "tiny", record.scores.sealed_facts) is None
    else:
        with pytest.raises(TlbenchError, match=r"coral\.zip: "):
            sealed_facts(results, "tiny", record.scores.sealed_facts)


def test_the_command_line_says_what_is_damaged_and_passes_whole_packs(ran, tmp_path):
    file = results_file_of(ran, tmp_path)
    packing.pack(file.parents[1], "tiny")
    words = "check", file, "--suite", ran / "tiny.toml"
    done = tlbench(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Accuracies and macro F1 follow from the predictions beside the records" in done.stdout
    pack = packs.pack_file(file.parents[1], "tiny", "facts", "coral")
    pack.write_bytes(pack.read_bytes()[:-1])
    done = tlbench(*words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"tlbench: {pack}: The pack is cut off, or is no zip without a comment. Restore the pack, or remove it and run its "
        "cases again (`tlbench run SUITE --fresh`).\n"
    )


@pytest.mark.skipif(sys.platform == "win32", reason="no FIFOs")
def test_a_fifo_is_no_pack_and_a_hidden_file_is_none(folder):
    results = folder / "results"
    before = loaded(results)
    packing.pack(results, "tiny")
    os.mkfifo(results / "tiny" / "predictions" / "adabn.zip")
    (results / "tiny" / "predictions" / "._coral.zip").write_bytes(b"\0\5\x16\7")
    assert loaded(results) == before and records.predictions_named(results, "tiny", "0" * 16) is None
    assert "This is a FIFO" in next(packing.pack_errors(results, "tiny", "adabn"))


def test_no_change_of_a_byte_and_no_cut_ends_in_a_traceback_or_is_believed(tmp_path, ran):
    """Each byte of a pack of two members is changed, and the pack is cut off at each: an error, or the same contents."""
    some = sorted((ran / "results" / "tiny" / "predictions").iterdir())[:2]
    whole = {file.name: file.read_bytes() for file in some}
    pack = packs.pack_file(tmp_path, "tiny", "predictions", "coral")
    pack.parent.mkdir(parents=True)
    content = packs.zip_of(whole)
    changed = [content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :] for at in range(len(content))]
    outcomes = set()
    for odd in (*changed, *(content[:at] for at in range(len(content)))):
        pack.unlink(missing_ok=True)
        pack.write_bytes(odd)
        packs._directories.clear()  # files of one size are written within one tick of the clock, under one inode
        errors = [*packing.pack_errors(tmp_path, "tiny", "coral")]
        read = {name: packs.read_content(pack.with_name(name), 2**20)[1] for name in whole} if not errors else {}
        assert len(errors) == 1 or all(packing.are_predictions(data, name[:-4]) for name, data in read.items())
        assert not errors or "coral.zip: " in errors[0]
        outcomes.add(bool(errors))
    assert outcomes == {True, False}  # dates and rights of members are no part of what is read


def test_facts_name_the_pack_that_they_come_from(folder):
    results = folder / "results"
    record = records.read_all(results)[0]
    name = record.scores.sealed_facts
    packing.pack(results, "tiny")
    pack = packs.pack_file(results, "tiny", "facts", record.entry)
    place, content = packs.read_content(facts_file(results, "tiny", name), 2**24)
    assert place == pack / f"{name}.npz"
    pack.write_bytes(pack.read_bytes().replace(content, content[:-1] + b"x"))
    with pytest.raises(TlbenchError, match=rf"{record.entry}\.zip/{name}\.npz: The file has another sha256 than its name"):
        sealed_facts(results, "tiny", name)
