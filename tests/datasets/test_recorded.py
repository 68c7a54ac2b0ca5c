"""Responses from every kind of file that users have: the same numbers, or one sentence that says what to do."""

import gzip
import io
import itertools
import pickle
import zipfile

import numpy as np
import pytest
import scipy.io

from fisherjax import datasets
from fisherjax.datasets import _formats
from fisherjax.datasets._tables import read_numbers

RNG = np.random.default_rng(0)
MINUS, PLUS = RNG.normal(size=(6, 4)), RNG.normal(size=(5, 4))
LABELED = [("a", row) for row in MINUS] + [("b", row) for row in PLUS]
HEADER = "condition,u1,u2,u3,u4\n"


def lines(separator=",", point=".", names=("a", "b"), end="\n", before=lambda _: ""):
    called = dict(zip("ab", names, strict=True))
    cells = (
        (before(index), called[label], *(repr(float(value)).replace(".", point) for value in row))
        for index, (label, row) in enumerate(LABELED)
    )
    return end.join(row[0] + separator.join(row[1:]) for row in cells) + end


def read(tmp_path, content, **options):
    path = tmp_path / "data.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return datasets.read_responses(path, **options)


def check(found):
    np.testing.assert_array_equal(found.minus, MINUS)
    np.testing.assert_array_equal(found.plus, PLUS)


def archive(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def matlab(**arrays):
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, arrays, do_compression=True)
    return buffer.getvalue()


TABLES = {
    "plain": lines(),
    "header": HEADER + lines(),
    "header of numbers": "condition,0,1,2,3\n" + lines(),
    "header of numbers from 1": "condition,1,2,3,4\n" + lines(),
    "pandas, conditions as numbers": "0,1,2,3,4\n" + lines(names="01"),
    "pandas with its index": ",condition,0,1,2,3\n" + lines(before=lambda i: f"{i},"),
    "pandas with its index, all numbers": ",0,1,2,3,4\n" + lines(before=lambda i: f"{i},", names="01"),
    "index with gaps": ",condition,u1,u2,u3,u4\n" + lines(before=lambda i: f"{3 * i + 7},"),
    "trials numbered in each condition": "trial,condition,a,b,c,d\n" + lines(before=lambda i: f"{i % 6 + 1},"),
    "index without a header": lines(before=lambda i: f"{i},"),
    "names of rows as R writes them": '"c","u1","u2","u3","u4"\n' + lines(before=lambda i: f'"{i + 1}",'),
    "condition is the last column": "u1,u2,u3,u4,Condition\n"
    + "\n".join(",".join((*map(repr, map(float, row)), label)) for label, row in LABELED),
    "BOM": "\ufeff" + lines(),
    "BOM and header": "\ufeff" + HEADER + lines(),
    "UTF-16": (HEADER + lines()).encode("utf-16"),
    "UTF-16, no mark": lines().encode("utf-16-be"),
    "semicolons": lines(";"),
    "decimal commas": lines(";", ","),
    "decimal commas, tabs": lines("\t", ","),
    "quoted decimal commas": "\n".join('"' + line.replace(";", '","') + '"' for line in lines(";", ",").splitlines()),
    "tabs": lines("\t"),
    "spaces": lines("   "),
    "bars": lines("|"),
    "Excel's first line": "sep=;\r\n" + lines(";", ",", end="\r\n"),
    "Windows-1252": ("Größe;µ1;µ2;µ3;µ4\r\n" + lines(";", ",", end="\r\n")).encode("cp1252"),
    "CRLF": HEADER.replace("\n", "\r\n") + lines(end="\r\n"),
    "CR": lines(end="\r"),
    "comments and blank lines": "# recorded today\n\n" + lines(end="\n\n") + "% the end\n",
    "separators at the end": lines(end=",\n"),
    "separators at the end, header too": HEADER.replace("\n", ",\n") + lines(end=",\n"),
    "separators at the end, but not of the header": HEADER + lines(end=",\n"),
    "quoted": "\n".join('"' + line.replace(",", '","') + '"' for line in lines().splitlines()),
    "minus signs": lines().replace("-", "\N{MINUS SIGN}"),
    "gzip": gzip.compress((HEADER + lines()).encode()),
    "npz": archive(minus=MINUS, plus=PLUS),
    "npz, column of conditions": archive(responses=np.vstack([MINUS, PLUS]), condition=np.array(list("aaaaaabbbbb"))),
    "MATLAB": matlab(minus=MINUS, plus=PLUS, comment="monkey 3"),
    "MATLAB, column of conditions": matlab(responses=np.vstack([MINUS, PLUS]), stimulus=[0.0] * 6 + [5.0] * 5),
}


@pytest.mark.parametrize("kind", TABLES)
def test_every_kind_of_file_gives_the_same_numbers(tmp_path, kind):
    found = read(tmp_path, TABLES[kind])
    check(found)
    assert found.separation == (5.0 if kind.endswith("MATLAB, column of conditions") else None)


def test_what_was_decided_is_told(tmp_path):
    notes = " ".join(read(tmp_path, TABLES["pandas with its index, all numbers"]).notes)
    assert "line 1 (, 0, 1, 2, 3, …) was taken for a header of numbers" in notes
    assert "the first column (0, 1, …) numbers the rows and was left out" in notes
    assert "6 trials of condition 0 and 5 of 1; 4 units" in notes
    assert "between semicolons, with a header, decimal commas" in " ".join(
        read(tmp_path, HEADER.replace(",", ";") + lines(";", ",")).notes
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("\n\n", "has no rows"),
        (HEADER, "has no rows below its header|must name two"),
        (lines() + "a,1,,2,3\nb,1,NA,2,3\n", r"2 of 13 rows have missing values \(line 12, 13\)"),
        (lines() + "a,1,nan,2,3\n", r"1 of 12 rows have missing values \(line 12\)"),
        (lines() + ",1,0,2,3\n", r"1 of 12 rows name no condition \(line 12\)"),
        (lines() + "a,1,\"0,5\",2,3\n", "line 12 holds '0,5', .* if its decimal mark is a comma, say decimal=comma"),
        ("condition,trial,u1\n" + "a,1,0.5\na,2,1.5\nb,1,2.5\n", "the column 'trial' is no unit; leave it out"),
        (lines() + "a,1,2\n", "line 12 has 3 values where line 1 has 5"),
        (lines() + "a,1,x,2,3\n", "line 12 holds 'x', which is not a number"),
        (lines() + "a,1,1_000,2,3\n", "line 12 holds '1_000', which is not a number"),
        (lines() + "a,1,inf,2,3\n", "line 12 holds 'inf', which is not finite"),
        (lines() + 'a,1,"inf,2,3\n', "a quotation mark that is not closed"),
        (lines() + "#a,1,2,3,4\n", "line 12 begins as a comment and goes on as a row"),
        ("condition,0,1,2,3\n" + lines() + "condition,0,1,2,3\n", "two conditions, got 3: .*'condition' .2 trials"),
        ("0,1,2,3,4\n" + lines(names="01") + "0,1,2,3,4\n", "line 13 repeats the header"),
        ("a,1.5,x,2,3\n" + lines(), "holds words and numbers: a header, or a trial with a fault"),
        ("condition,12,57,61,80\n" + lines(), "may be a header of numbers or a trial; say header=yes"),
        ("0,1,2\n" + "0,3,4\n" * 3 + "1,4,4\n" * 3, "may be a header of numbers or a trial; say header=yes"),
        (lines() + "c,1,2,3,4\n", r"must name two conditions, got 3.* choose two, as conditions=\('a', 'b'\)"),
        (lines().replace("a,", "").replace("b,", ""), "it looks like responses: add a column of conditions"),
        ("a\na\nb\n", "has one column"),
        (3 * lines().encode() + b"\0", "holds zero bytes"),
        (gzip.compress(lines().encode())[:-9], "cannot be unpacked by gzip"),
        (gzip.compress(archive(minus=MINUS, plus=PLUS)), "a .npz file packed by gzip; unpack it first"),
        (archive(minus=MINUS), r"has no array 'plus'; it holds minus \(6, 4\)"),
        (archive(minus=MINUS[None], plus=PLUS[None]), r"minus must have shape \(trials, units\), got \(1, 6, 4\)"),
        (archive(minus=MINUS, plus=PLUS + np.nan), "plus must be finite"),
        (archive(minus=MINUS, plus=PLUS[:, :2]), "minus has 4 units and plus has 2"),
        (archive(first=MINUS, second=PLUS), r"must hold minus and plus .* it holds first \(6, 4\), second \(5, 4\)"),
        (archive(responses=MINUS, condition=np.arange(3)), "one entry for each of the 6 trials, got shape"),
        (archive(minus=MINUS, plus=PLUS, separation=-1.0), "separation must be above 0, got -1"),
        (archive(minus=MINUS, plus=PLUS)[:200], "data.csv cannot be read"),
        (matlab(minus=MINUS, plus=PLUS)[:200], "a MATLAB file that is truncated or damaged"),
        (matlab(text="words"), "holds no numeric arrays, only text"),
        (b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n" + bytes(600), "is a MATLAB 7.3 file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(600), "is an HDF5 file, which is not read here; export it as a table"),
        (b"PAR1\x15\x04" + bytes(600), "is a Parquet file"),
        (pickle.dumps({"minus": MINUS}), "is a Python pickle"),
        (b"\x89PNG\r\n\x1a\n" + bytes(30), "is a PNG picture"),
        (bytes(range(256)), "unknown binary format"),
        ('{"minus": [1]}', "is a JSON document"),
    ],
)  # fmt: skip
def test_one_sentence_names_the_file(tmp_path, content, message):
    with pytest.raises(ValueError, match=message) as caught:
        read(tmp_path, content)
    assert "data.csv" in str(caught.value)
    assert "codec" not in str(caught.value)


def test_excel_files_are_known_by_their_contents(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as book:
        book.writestr("[Content_Types].xml", "<x/>")
    with pytest.raises(ValueError, match="is an Excel file"):
        read(tmp_path, buffer.getvalue())


def test_options_decide_what_is_ambiguous(tmp_path):
    counts = "0,1,2\n" + "0,3,4\n" * 3 + "1,4,4\n" * 3
    assert read(tmp_path, counts, header="yes").minus.shape == (3, 2)
    assert read(tmp_path, counts, header="no").minus.shape == (4, 2)
    check(read(tmp_path, "condition,12,57,61,80\n" + lines(), header="yes"))
    pairs = "1,5\n2,5\n3,25\n"
    (tmp_path / "one.csv").write_text(pairs)
    (tmp_path / "two.csv").write_text(pairs)
    paths = tmp_path / "one.csv", tmp_path / "two.csv"
    assert "2 columns between commas" in datasets.read_responses(*paths).notes[0]
    found = datasets.read_responses(*paths, decimal="comma", separator="semicolon").minus
    np.testing.assert_array_equal(found, [[1.5], [2.5], [3.25]])


def test_two_files(tmp_path):
    first, second = tmp_path / "first.csv", tmp_path / "second.npy"
    rows = [f"{index + 40}," + ",".join(map(repr, map(float, row))) for index, row in enumerate(MINUS)]
    first.write_text(",0,1,2,3\n" + "\n".join(rows))
    np.save(second, PLUS)
    check(datasets.read_responses(first, second, separation=0.1))
    np.save(second, PLUS[:, :3])
    with pytest.raises(ValueError, match=r"first.csv has 4 units and .*second.npy has 3"):
        datasets.read_responses(first, second)
    second = tmp_path / "second.csv"
    second.write_text(",0,1,3,2\n" + "\n".join(rows))
    with pytest.raises(ValueError, match=r"may be a header|name different columns"):
        datasets.read_responses(first, second)
    second.write_text("stimulus,u1\n" + "5,1.5\n" * 4)
    with pytest.raises(ValueError, match="the column 'stimulus' is no unit"):
        datasets.read_responses(first, second)


def test_two_of_several_conditions(tmp_path):
    several = HEADER.replace("condition", "stimulus") + "".join(
        f"{angle},{angle}.5,1.25,1.5,{index}.5\n" for angle, index in itertools.product((0, 10, 20), range(3))
    )
    found = read(tmp_path, several, conditions=(20, "10"))
    assert set(found.minus[:, 0]) == {20.5}
    assert set(found.plus[:, 0]) == {10.5}
    assert found.separation == 10
    assert "3 of others left out" in " ".join(found.notes)
    with pytest.raises(ValueError, match=r"conditions: .* has no 30, only 0 \(3 trials\), 10 \(3 trials\)"):
        read(tmp_path, several, conditions=(0, 30))
    with pytest.raises(ValueError, match="must be two different ones, got 10 twice"):
        read(tmp_path, several, conditions=(10, 10))


def test_circles(tmp_path):
    """Between 359° and 1° lie 2°, whatever subtraction says."""
    table = "stimulus,u1,u2,u3,u4\n" + lines(names=("359", "1"))
    assert read(tmp_path, table, period=360).separation == 2
    assert read(tmp_path, table, period=float("inf")).separation == 358
    for options in ({}, {"separation": 358}):
        with pytest.raises(ValueError, match="say period=360 and separation=2; if it is none, period=inf"):
            read(tmp_path, table, **options)
    with pytest.raises(ValueError, match=r"more than half of period=360; the shorter way round is separation=2"):
        read(tmp_path, table, separation=358, period=360)
    bars = "orientation,u1,u2,u3,u4\n" + lines(names=("179", "1"))
    with pytest.raises(ValueError, match="period=180 and separation=2"):
        read(tmp_path, bars)
    assert read(tmp_path, bars, period=180).separation == 2
    with pytest.raises(ValueError, match="the conditions are one stimulus: 360 and 0 on a circle of 360"):
        read(tmp_path, "stimulus,u1,u2,u3,u4\n" + lines(names=("360", "0")), period=360)


def test_sizes_are_looked_at_first(tmp_path, monkeypatch):
    monkeypatch.setattr(_formats, "_MOST_TEXT", 100)
    with pytest.raises(ValueError, match="tables of text are read up to 100 bytes"):
        read(tmp_path, lines())
    with pytest.raises(ValueError, match="unpacks to more than 100 bytes"):
        read(tmp_path, gzip.compress(lines().encode()))


@pytest.mark.parametrize("compressed", [True, False])
def test_matlab_arrays_of_every_type(tmp_path, compressed):
    """Against SciPy's writer; text, cells and structures beside them are left alone."""
    kinds = ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]
    arrays = {f"of_{kind}": (10 * RNG.random((3, 4, 2))).astype(kind) for kind in kinds}
    arrays |= {"x": np.array([[7]]), "complex": MINUS + 1j * MINUS, "empty": np.zeros((0, 3))}
    others = {"text": "words", "cells": np.array([1, "a"], object), "record": {"field": 1.0}}
    path = tmp_path / "data.mat"
    scipy.io.savemat(path, arrays | others, do_compression=compressed)
    found = _formats.read_arrays(path)
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_damaged_files_end_in_data_or_in_one_sentence(tmp_path):
    """Mutations of every format; a header that claims terabytes is among them."""
    kinds = ["header", "decimal commas", "UTF-16", "npz", "MATLAB", "gzip", "pandas with its index, all numbers"]
    rng = np.random.default_rng(0)
    outcomes, unnamed = {"read": 0, "refused": 0}, []
    for kind in kinds:
        whole = TABLES[kind].encode() if isinstance(TABLES[kind], str) else TABLES[kind]
        for _ in range(25):
            mutated = bytearray(whole)
            for _ in range(rng.integers(1, 4)):
                place = int(rng.integers(len(mutated)))
                place = place % 300 if rng.random() < 0.5 else place
                match rng.integers(4):
                    case 0:
                        mutated[place : place + 1] = rng.bytes(1)
                    case 1:
                        del mutated[place : place + int(rng.integers(1, 200))]
                    case 2:
                        mutated[place:place] = rng.bytes(int(rng.integers(1, 60)))
                    case 3:
                        mutated[place : place + 4] = int(rng.integers(2**31)).to_bytes(4, "little")
                mutated = mutated or bytearray(b"x")
            try:
                read(tmp_path, bytes(mutated))
                outcomes["read"] += 1
            except ValueError as error:
                outcomes["refused"] += 1
                unnamed += [str(error)] if "data.csv" not in str(error) and "separation" not in str(error) else []
    assert outcomes["refused"] > 100
    assert unnamed == []


def test_paths(tmp_path, as_user):
    with pytest.raises(IsADirectoryError):
        datasets.read_responses(tmp_path)
    with pytest.raises(FileNotFoundError):
        datasets.read_responses(tmp_path / "nowhere.csv")
    with pytest.raises(ValueError, match="is not a regular file"):
        datasets.read_responses("/dev/zero")
    with pytest.raises(TypeError, match="paths must be the path of a file, got 3"):
        datasets.read_responses(3)
    with pytest.raises(ValueError, match="one file or two"):
        datasets.read_responses()


def test_a_table_of_numbers(tmp_path):
    path = tmp_path / "gains.txt"
    np.savetxt(path, MINUS, header="four by six")
    np.testing.assert_array_equal(read_numbers(path), MINUS)
    path.write_text("0 1\n1 0\n")
    with pytest.raises(ValueError, match=r"line 1 \(0, 1\) may be a header of numbers"):
        read_numbers(path)
    np.testing.assert_array_equal(read_numbers(path, header="no"), [[0, 1], [1, 0]])
