"""Planning: trees, names, collisions, what is there already, lists, shards."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deformcli.batch import Item, check_writable
from deformcli.batch import plan as plan_of
from deformcli.batch.plan import with_output
from deformcli.errors import DeformError, NothingToDoError, UsageError
from deformcli.options import BatchOptions


@pytest.fixture
def tree(tmp_path, monkeypatch) -> Path:
    """An empty working folder with in/a.png, in/b.JPG, in/notes.txt, in/.hidden.png and in/sub/a.png."""
    monkeypatch.chdir(tmp_path)
    for name in ("in/a.png", "in/b.JPG", "in/notes.txt", "in/.hidden.png", "in/sub/a.png"):
        write(name)
    return tmp_path


def write(path: str | Path, text: str = "x") -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


def plan(inputs: list[str], output: str, **options) -> list[Item]:
    return plan_of(BatchOptions(inputs=inputs, output=output, **options))


def planned(*args, **options) -> dict[str, str]:
    return {str(item.source): str(item.target) for item in plan(*args, **options)}


@pytest.mark.parametrize(
    ("inputs", "output", "recursive", "expected"),
    [
        (["in/a.png"], "out.webp", False, {"in/a.png": "out.webp"}),
        (["in/a.png"], "out/", False, {"in/a.png": "out/a.png"}),
        (["in/a.png"], "in/sub", False, {"in/a.png": "in/sub/a.png"}),
        (["in"], "out", False, {"in/a.png": "out/a.png", "in/b.JPG": "out/b.JPG"}),
        (["in"], "out", True, {"in/a.png": "out/a.png", "in/b.JPG": "out/b.JPG", "in/sub/a.png": "out/sub/a.png"}),
        (["in/*.png"], "out", False, {"in/a.png": "out/a.png"}),
        (["in/**/a.png"], "out", False, {"in/a.png": "out/a.png", "in/sub/a.png": "out/sub/a.png"}),
        (["in/a.png", "in", "./in/a.png"], "out", False, {"in/a.png": "out/a.png", "in/b.JPG": "out/b.JPG"}),
    ],
)
def test_plan(tree, inputs, output, recursive, expected):
    found = planned(inputs, output, recursive=recursive, exists="overwrite")
    assert found == {str(Path(a)): str(Path(b)) for a, b in expected.items()}
    assert not (tree / "out").exists()


@pytest.mark.parametrize(
    ("given", "options", "output"),
    [
        ("in/a.png", {}, "in/a-done.png"),
        ("in/b.JPG", {}, "in/b-done.JPG"),
        ("./in/sub/a.png", {"suffix": "_new", "format": "webp"}, "in/sub/a_new.webp"),
        ("in/anim.gif", {}, "in/anim-done.png"),
        ("in/odd[1].png", {}, "in/odd[1]-done.png"),
        ("-", {"suffix": "_new"}, "-"),
    ],
)
def test_without_an_output_it_lies_beside_the_one_input(tree, given, options, output):
    write("in/anim.gif")
    write("in/odd[1].png")
    assert with_output(BatchOptions(inputs=[given], **options), "-done").output == output
    asked_for = BatchOptions(inputs=[given], output="x.png", **options)
    assert with_output(asked_for, "-done") is asked_for


@pytest.mark.parametrize(
    "given",
    [{"inputs": ["in"]}, {"inputs": ["in/a.png", "in/b.JPG"]}, {"inputs": ["in/*.png"]}, {"files_from": "list"}],
)
def test_several_inputs_need_an_output(tree, given):
    with pytest.raises(UsageError, match="needs a place") as caught:
        with_output(BatchOptions(**given), "-done")
    assert caught.value.remedy == "choose a folder with -o"


def test_format_that_cannot_be_written_becomes_png(tree):
    write("anim/a.gif")
    assert planned(["anim"], "out") == {"anim/a.gif": "out/a.png"}
    with pytest.raises(UsageError, match=r"suffix '\.gif'"):
        plan(["anim/a.gif"], "out.gif")


def test_results_of_an_earlier_run_are_no_input(tree):
    first = plan(["in"], "in/out", recursive=True)
    for item in first:
        write(item.target)
    again = plan(["in"], "in/out", recursive=True)
    assert [item.source for item in again] == [item.source for item in first]
    assert all(item.skipped for item in again)
    assert planned(["in/**/*.png"], "in/out", exists="overwrite").keys() == {"in/a.png", "in/sub/a.png"}


def test_input_below_the_output_folder_is_read(tree):
    assert planned(["in/sub"], ".") == {"in/sub/a.png": "a.png"}


@pytest.mark.parametrize(
    ("inputs", "output", "cause"),
    [
        (["gone.png"], "out.png", "no such file or folder: gone.png"),
        (["in/a.png"], "out.txt", "suffix '.txt'"),
        (["in/a.png"], "in/a.png", "is an input and would be overwritten"),
        (["in/a.png"], "in/../in/a.png", "is an input and would be overwritten"),
        (["in/*.png"], "in", "is an input and would be overwritten"),
        (["in"], "in", "the input and the output folder"),
        (["in"], "in/notes.txt", "is a file"),
        (["in"], "out.png", "looks like a file"),
        (["in/a.png", "in/sub/a.png"], "out", "would both become"),
    ],
)
def test_plan_refuses(tree, inputs, output, cause):
    with pytest.raises(UsageError, match=cause):
        plan(inputs, output)


def test_a_suffix_with_a_slash_is_refused(tree):
    with pytest.raises(UsageError, match="--suffix a/b: not a part of a name"):
        plan(["in"], "out", suffix="a/b")
    with pytest.raises(UsageError, match="--suffix a/b: not a part of a name"):
        with_output(BatchOptions(inputs=["in/a.png"], suffix="a/b"), "-done")


@pytest.mark.parametrize("exists", ["overwrite", "skip", "error", "rename"])
@pytest.mark.parametrize(
    ("inputs", "output"),
    [(["in"], "masks"), (["in"], "in/../masks"), (["in/a.png"], "masks/a.png"), (["other/list.png"], ".")],
)
def test_what_is_read_is_no_output(tree, inputs, output, exists):
    write("masks/a.png"), write("other/list.png"), write("list.png", "in/b.JPG")
    masks = {Path("in/a.png"): [Path("masks/a.png")]}
    options = BatchOptions(
        inputs=inputs, output=output, exists=exists, files_from="list.png" if output == "." else None
    )
    with pytest.raises(UsageError, match="is an input and would be overwritten"):
        plan_of(options, lambda source: masks.get(source, []))


@pytest.mark.parametrize("inputs", [["empty"], ["in/*.webp"], ["in/notes*"]])
def test_no_match_is_nothing_to_do(tree, inputs):
    (tree / "empty").mkdir()
    with pytest.raises(NothingToDoError, match="no picture in") as caught:
        plan(inputs, "out")
    assert caught.value.exit_code == 5


def test_exists(tree):
    for name in ("out/a.png", "out/a-1.png"):
        write(name, "old")
    assert [item.skipped for item in plan(["in"], "out")] == [True, False]
    assert planned(["in"], "out", exists="rename")["in/a.png"] == "out/a-2.png"
    assert planned(["in"], "out", exists="overwrite")["in/a.png"] == "out/a.png"
    for inputs, exists in [(["in"], "error"), (["in/a.png"], None)]:
        with pytest.raises(UsageError, match=r"out/a\.png exists already"):
            plan(inputs, "out", exists=exists)
    (tree / "out" / "b.JPG").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        plan(["in"], "out")


def test_renamed_files_do_not_meet(tree):
    for name in ("in/a-1.png", "out/a.png"):
        write(name)
    assert planned(["in"], "out", exists="rename")["in/a.png"] == "out/a-2.png"


def test_output_that_cannot_be_written_is_told_before_any_work(tree):
    with pytest.raises(DeformError, match=r"the output folder in/notes\.txt/deep cannot be written"):
        plan(["in"], "in/notes.txt/deep")
    if Path("/proc/self").exists():
        with pytest.raises(DeformError, match="cannot be written"):
            plan(["in"], "/proc/deform")
    if hasattr(os, "geteuid") and os.geteuid() != 0:
        (tree / "locked").mkdir(mode=0o500)
        with pytest.raises(DeformError, match="locked"):
            plan(["in"], "locked/out")


def test_names_of_outputs(tree):
    assert planned(["in"], "out", suffix="-new") == {"in/a.png": "out/a-new.png", "in/b.JPG": "out/b-new.JPG"}
    assert planned(["in"], "out", format="webp") == {"in/a.png": "out/a.webp", "in/b.JPG": "out/b.webp"}
    assert planned(["in/a.png"], "out.jpg", suffix="-new", format="webp") == {"in/a.png": "out.jpg"}


def test_a_suffix_puts_results_beside_their_inputs_once(tree):
    assert planned(["in"], "in", suffix="-new") == {"in/a.png": "in/a-new.png", "in/b.JPG": "in/b-new.JPG"}
    write("in/a-new.png")
    assert [(item.source.name, item.skipped) for item in plan(["in"], "in", suffix="-new")] == [
        ("a.png", True),
        ("b.JPG", False),
    ]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"include": ["*.png"]}, ["in/a.png", "in/sub/a.png"]),
        ({"include": ["sub/*", "*.txt"]}, ["in/notes.txt", "in/sub/a.png"]),
        ({"exclude": ["sub/*"]}, ["in/a.png", "in/b.JPG"]),
        ({"include": ["*"], "exclude": ["*.png", "b.*"]}, ["in/notes.txt"]),
    ],
)
def test_include_and_exclude(tree, choice, expected):
    assert list(planned(["in"], "out", recursive=True, **choice)) == expected
    assert list(planned(["in/a.png"], "out/", **choice)) == ["in/a.png"]  # named, not found


LISTS = [
    b"in/a.png\nin/sub/a.png\n\n",
    b"in/a.png\0in/sub/a.png\0",
    b"\xef\xbb\xbfin/a.png\r\nin/sub/a.png\r\n",
    "in/a.png\r\nin/sub/a.png\r\n".encode("utf-16"),
    b"\xfe\xff" + "in/a.png\nin/sub/a.png".encode("utf-16-be"),
    "in/a.png\nin/sub/a.png\n".encode("utf-32"),
    b"\xff\xfe" + "in/a.png\0in/sub/a.png\0".encode("utf-16-le"),
]


@pytest.mark.parametrize("data", LISTS)
def test_listed_files_keep_their_paths(tree, data):
    (tree / "list").write_bytes(data)
    expected = {"in/a.png": "out/in/a.png", "in/sub/a.png": "out/in/sub/a.png"}
    assert {str(item.source): str(item.target) for item in plan([], "out", files_from="list")} == expected
    (tree / "list").write_text(f"{tree}/in/a.png\nin/sub/../b.JPG")
    assert [str(item.target) for item in plan([], "out", files_from="list")] == ["out/a.png", "out/b.JPG"]


@pytest.mark.parametrize("text", ["./a.png", "./a.png\n", "./\u0444\u043e\u0442\u043e.png\r\n"])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_list_that_does_not_say_it_is_utf_16_is_refused(tree, text, encoding):
    (tree / "list").write_bytes(text.encode(encoding))
    with pytest.raises(UsageError, match="the list list is no text"):
        plan([], "out", files_from="list")


def test_names_with_brackets_are_names_first(tree):
    for name in ("in/c[1].png", "in/c1.png", "in/d1.png", "odd[1]/e.png", "odd1/f.png"):
        write(name)
    assert [str(item.source) for item in plan(["in/c[1].png"], "out/")] == ["in/c[1].png"]
    assert [str(item.source) for item in plan(["in/d[1].png"], "out/")] == ["in/d1.png"]
    assert [str(item.source) for item in plan(["odd[1]/*.png"], "out/")] == ["odd[1]/e.png"]
    assert planned(["odd[1]"], "out") == {"odd[1]/e.png": "out/e.png"}


@pytest.mark.parametrize("name", ["gone[1].png", "gone*.png", "gone**.png"])
def test_names_with_brackets_that_are_not_there_are_not_lost(tree, name):
    assert [str(item.source) for item in plan(["in/a.png", name], "out")] == ["in/a.png", name]
    (tree / "list").write_text(f"in/a.png\n{name}\n")
    assert [str(item.source) for item in plan([], "out", files_from="list")] == ["in/a.png", name]
    (tree / "list").write_text(name)
    assert [str(item.source) for item in plan([], "out", files_from="list")] == [name]
    with pytest.raises(NothingToDoError, match="no picture in gone"):
        plan([name], "out")


def test_name_that_becomes_too_long_is_planned(tree):
    write(f"long/{'n' * 240}.png")
    assert len(plan(["long"], "out", suffix="-" + "m" * 40)) == 1
    with pytest.raises(UsageError, match="no such file or folder: nnn"):
        plan(["n" * 300], "out.png")


def test_listed_file_that_is_not_there_is_planned(tree):
    (tree / "list").write_text("in/a.png\nin/gone.png\n")
    assert [str(item.source) for item in plan([], "out", files_from="list")] == ["in/a.png", "in/gone.png"]


def test_name_that_is_no_text(tree):
    name = os.fsdecode(b"in/\xff\xfe.png")
    try:
        write(name)
    except OSError:
        pytest.skip("the file system wants text")
    (tree / "list").write_bytes(os.fsencode(name))
    assert [item.source for item in plan([], "out", files_from="list")] == [Path(name)]


def test_links_that_lead_in_circles(tree):
    for link, target in {"in/loop": ".", "in/sub/up": "..", "in/sub/also": "../sub", "in/gone.png": "nowhere"}.items():
        Path(link).symlink_to(target)
    write("elsewhere/c.png")
    Path("in/there").symlink_to("../elsewhere")
    everything = {"in/a.png", "in/b.JPG", "in/sub/a.png", "in/there/c.png"}
    assert planned(["in"], "out", recursive=True).keys() == everything
    assert planned(["in/**/a.png"], "out").keys() == {"in/a.png", "in/sub/a.png"}


def test_links_to_themselves(tree):
    for link in ("in/self.png", "there/a.png"):
        Path(link).parent.mkdir(exist_ok=True)
        Path(link).symlink_to(Path(link).name)
    assert planned(["in"], "in/out") == {"in/a.png": "in/out/a.png", "in/b.JPG": "in/out/b.JPG"}
    assert planned(["in"], "there")["in/a.png"] == "there/a.png"
    with pytest.raises(UsageError, match=r"no such file or folder: in/self\.png"):
        plan(["in/self.png"], "out.png")


def test_results_that_links_lead_to_are_no_input(tree):
    Path("in/all").symlink_to("..")
    write("out/done.png")
    write("more.png")
    assert planned(["in"], "out", recursive=True).keys() == {"in/a.png", "in/b.JPG", "in/sub/a.png", "in/all/more.png"}


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_shards_are_a_partition(tree, parts):
    whole = plan(["in"], "out", recursive=True)
    shards = [plan(["in"], "out", recursive=True, shard=f"{part}/{parts}") for part in range(1, parts + 1)]
    assert sorted((item for shard in shards for item in shard), key=lambda item: item.number) == whole
    assert max(map(len, shards)) - min(map(len, shards)) <= 1
    write(whole[0].target)
    again = plan(["in"], "out", recursive=True, shard=f"1/{parts}")
    assert [item.source for item in again] == [item.source for item in shards[0]]


@pytest.mark.parametrize("shard", ["0/2", "3/2", "2", "a/b", "1/0", "-1/2"])
def test_shard_that_is_none(tree, shard):
    with pytest.raises(UsageError, match="--shard"):
        plan(["in"], "out", shard=shard)


def test_stdin_and_stdout(tree):
    assert planned(["-"], "-") == {"-": "-"}
    assert planned(["in/a.png"], "-") == {"in/a.png": "-"}
    assert planned(["-"], "out.webp") == {"-": "out.webp"}
    assert planned(["-", "in"], "out", format="webp")["-"] == "out/stdin.webp"
    for inputs in (["in"], ["in/a.png", "in/sub/a.png"]):
        with pytest.raises(UsageError, match="stdout"):
            plan(inputs, "-")
    with pytest.raises(UsageError, match="stdin"):
        plan(["-"], "out", files_from="-")
    with pytest.raises(UsageError, match="no input"):
        plan([], "out")


def test_check_writable_leaves_nothing(tree):
    check_writable(tree / "new" / "folder")
    assert not (tree / "new").exists()
