"""Nothing that can run code when it is read is ever read: not by our code, not from a model's directory."""

from __future__ import annotations

import ast
import pickle
from pathlib import Path

import pytest

import fleetlora
from fleetlora.errors import InputError
from fleetlora.lora.loading import load_encoder
from fleetlora.lora.peft_files import load_peft
from fleetlora.tasks import TASK_SOURCES

SOURCE = Path(fleetlora.__file__).parent
BANNED = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def _findings(tree: ast.AST) -> list[str]:
    """Return what in a module could run code that comes with a file."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in BANNED]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in BANNED:
            found.append(str(node.module))
        elif isinstance(node, ast.keyword) and node.arg in ("trust_remote_code", "allow_pickle"):
            if not (isinstance(node.value, ast.Constant) and node.value.value is False):
                found.append(f"{node.arg} that is not False")
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in ("torch.load", "eval", "exec", "pd.read_pickle", "pandas.read_pickle"):
                found.append(called)
            if called.endswith("np.load") and not any(k.arg == "allow_pickle" for k in node.keywords):
                found.append("np.load without allow_pickle=False")
    return found


def test_no_module_reads_what_can_run_code() -> None:
    files = sorted(SOURCE.rglob("*.py"))
    assert len(files) > 100
    found = {str(path): _findings(ast.parse(path.read_text("utf-8"))) for path in files}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "torch.load(path)",
        "AutoModel.from_pretrained(path, trust_remote_code=True)",
        "np.load(path, allow_pickle=flag)",
        "np.load(path)",
        "eval(text)",
    ],
)
def test_the_scan_sees_what_it_looks_for(line: str) -> None:
    assert _findings(ast.parse(line))


class _Trap:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.mark,))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt"])
def test_pickled_weights_are_refused_unread_with_the_mend(tmp_path: Path, name: str) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / name).write_bytes(pickle.dumps(_Trap(tmp_path / "ran")))
    with pytest.raises(InputError, match="pickled weights only") as refused:
        load_encoder(tmp_path)
    assert "save_pretrained" in str(refused.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["adapter_model.bin", "adapter_model.pt"])
def test_a_pickled_adapter_is_refused_unread_with_the_mend(tmp_path: Path, name: str) -> None:
    from tests.fuzz.cases import SEEDS

    for file in ("adapter_config.json", "head.safetensors"):
        (tmp_path / file).write_bytes((SEEDS / "adapter" / "a" / file).read_bytes())
    (tmp_path / name).write_bytes(pickle.dumps(_Trap(tmp_path / "ran")))
    with pytest.raises(InputError, match="pickled factors only") as refused:
        load_peft(tmp_path)
    assert "save_pretrained" in str(refused.value)
    assert not (tmp_path / "ran").exists()


def test_a_pickle_under_the_name_of_another_format_is_refused_unread(tmp_path: Path) -> None:
    from tests.fuzz.cases import SEEDS
    from tests.fuzz.readers import READERS

    trap = pickle.dumps(_Trap(tmp_path / "ran"))
    for file in sorted((SEEDS / "adapter" / "a").iterdir()):
        (tmp_path / file.name).write_bytes(trap)
        with pytest.raises(InputError):
            READERS["adapter"].read(tmp_path)
    (tmp_path / "data.npz").write_bytes(trap)
    with pytest.raises(InputError, match="npz"):
        TASK_SOURCES.get("npz")(path=str(tmp_path / "data.npz")).load()  # type: ignore[call-arg]
    assert not (tmp_path / "ran").exists()


def test_the_project_keeps_no_pickle() -> None:
    kept = [
        path for path in Path(__file__).parent.rglob("*") if path.suffix in (".pkl", ".pickle", ".pt", ".bin")
    ]
    assert kept == []
    for path in (Path(__file__).parent / "fuzz").rglob("*"):
        assert not (path.is_file() and path.read_bytes()[:1] == b"\x80" and path.suffix != ".py"), path
