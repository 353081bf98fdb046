"""One validated experiment, and the ways to get one: a preset, a TOML file, values on top of either."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar, Literal

import tomli_w
from pydantic import Field, ValidationError, field_validator, model_validator

from fleetlora.documents import flat, parse_toml, read_toml
from fleetlora.errors import ConfigError, InputError
from fleetlora.faults import FaultSettings
from fleetlora.federation.attack import AttackSettings
from fleetlora.federation.defence import DefenceSettings
from fleetlora.federation.departures import DEPARTURE_RULES
from fleetlora.federation.privacy_settings import PrivacySettings
from fleetlora.federation.settings import (
    AdmissionSettings,
    BudgetSettings,
    EvaluationSettings,
    RewardSettings,
    RoundSettings,
)
from fleetlora.lora import AGGREGATION_RULES, LocalTraining, LoraSpec
from fleetlora.methods import method_values
from fleetlora.physics import (
    DEFAULT_DEVICES,
    RADIO_MODELS,
    Backhaul,
    DeviceClass,
    EnergyModel,
    RsuPower,
    Sampling,
    Shadowing,
    check_devices,
)
from fleetlora.records import TASK_NAME, TASK_NAME_CHARACTERS, CheckpointSettings
from fleetlora.registry import Registry, suggest
from fleetlora.roadside import PLACEMENTS, Association
from fleetlora.scheduling import POLICIES
from fleetlora.sections import ComponentSection, explain
from fleetlora.settings import Settings, quantity
from fleetlora.tasks import TASK_SOURCES, Encoding, Partition
from fleetlora.traces import TRACE_SOURCES, Cleaning
from fleetlora.traces.storage import holds_tracks

__all__ = [
    "Experiment",
    "load_experiment",
    "load_traces",
    "preset_names",
    "preset_summaries",
    "to_toml",
    "with_override",
]


class TraceSection(ComponentSection):
    """Where the trajectories come from, how they are cleaned, and which part of them is used."""

    registry: ClassVar[Registry[Any]] = TRACE_SOURCES
    key: ClassVar[str] = "source"
    section: ClassVar[str] = "traces"
    guide: ClassVar[str | None] = "docs/traces.md"

    cleaning: Cleaning = Cleaning()
    start_s: float = quantity(0.0, "s", "start of the part that is used, after the first fix", ge=0)
    duration_s: float | None = quantity(None, "s", "length of the part that is used; all if not given", gt=0)
    vehicles: int | None = quantity(
        None, "1", "use only so many vehicles, those longest in contact with the RSUs; all if not given", ge=1
    )


class SiteSection(ComponentSection):
    """Where the RSUs stand, and how vehicles are associated with them."""

    registry: ClassVar[Registry[Any]] = PLACEMENTS
    key: ClassVar[str] = "placement"
    section: ClassVar[str] = "sites"

    association: Association = Association()


class RadioSection(ComponentSection):
    """The radio model and its constants."""

    registry: ClassVar[Registry[Any]] = RADIO_MODELS
    key: ClassVar[str] = "model"
    section: ClassVar[str] = "radio"
    default: ClassVar[str] = "umi"


class TaskSection(ComponentSection):
    """One task: its data, how the data is encoded, and how it is spread over the vehicles."""

    registry: ClassVar[Registry[Any]] = TASK_SOURCES
    key: ClassVar[str] = "source"
    section: ClassVar[str] = "tasks"
    guide: ClassVar[str | None] = "docs/tasks.md"

    name: str = Field(min_length=1, max_length=TASK_NAME_CHARACTERS, pattern=TASK_NAME)
    encoding: Encoding = Encoding()
    partition: Partition = Partition()

    @classmethod
    def place(cls, data: Mapping[str, Any]) -> str:
        """Return ``tasks.NAME``."""
        name = data.get("name")
        return f"tasks.{name}" if isinstance(name, str) and name.isprintable() else cls.section


class PolicySection(ComponentSection):
    """Who chooses the ranks."""

    registry: ClassVar[Registry[Any]] = POLICIES
    key: ClassVar[str] = "name"
    section: ClassVar[str] = "policy"


class AggregationSection(ComponentSection):
    """How updates of different ranks become one model."""

    registry: ClassVar[Registry[Any]] = AGGREGATION_RULES
    key: ClassVar[str] = "rule"
    section: ClassVar[str] = "aggregation"


class DepartureSection(ComponentSection):
    """What a vehicle does that is about to leave its RSU with its update unfinished."""

    registry: ClassVar[Registry[Any]] = DEPARTURE_RULES
    key: ClassVar[str] = "rule"
    section: ClassVar[str] = "departure"


class LoraSection(LoraSpec):
    """The adapters: which layers, which ranks are the arms."""

    ranks: tuple[int, ...] = quantity((2, 4, 8, 16), "1", "arms: LoRA ranks a vehicle may choose, ascending")

    @field_validator("ranks")
    @classmethod
    def _ascending(cls, ranks: tuple[int, ...]) -> tuple[int, ...]:
        if not ranks or min(ranks) < 1 or list(ranks) != sorted(set(ranks)):
            raise ValueError("ranks must be positive, ascending and without repetition")
        return ranks


_SECTIONS: tuple[type[ComponentSection], ...] = (
    TraceSection,
    SiteSection,
    RadioSection,
    PolicySection,
    AggregationSection,
    DepartureSection,
)


class BackboneSection(Settings):
    """The frozen pretrained model."""

    path: str = Field(
        "asset:minilm", description="a directory, an asset, or a model id of the Hugging Face hub"
    )
    cache_mib: int = quantity(
        1536, "MiB", "memory for outputs of frozen layers, which are then computed once; 0 is none", ge=0
    )
    device: Literal["cpu", "cuda"] = Field("cpu", description="where training and testing are computed")


class LearnerSection(Settings):
    """What learns: real adapters, or a curve that was fitted to runs of real ones."""

    kind: Literal["lora", "curve"] = Field(
        "lora", description="lora trains real adapters; curve trains nothing and says so"
    )
    curve: str | None = Field(None, description="kind 'curve': the file that `fleetlora fit-curve` wrote")

    @model_validator(mode="after")
    def _named(self) -> LearnerSection:
        if (self.kind == "curve") != (self.curve is not None):
            raise ValueError("kind 'curve' needs learner.curve, and nothing else does")
        return self


class Experiment(Settings):
    """Everything that determines a run: equal experiments give equal digests."""

    name: str = Field("experiment", description="name of the preset or study, shown in reports")
    method: str = Field("fixed", description="name of the method; its values lie beneath the sections' own")
    seed: int = quantity(0, "1", "seed of every random stream", ge=0)
    traces: TraceSection
    sites: SiteSection
    radio: RadioSection = Field(default_factory=lambda: RadioSection.model_validate({}))
    shadowing: Shadowing = Shadowing()
    sampling: Sampling = Sampling()
    backhaul: Backhaul = Backhaul()
    energy: EnergyModel = EnergyModel()
    rsu_power: RsuPower = RsuPower()
    devices: tuple[DeviceClass, ...] = DEFAULT_DEVICES
    learner: LearnerSection = LearnerSection()
    backbone: BackboneSection = BackboneSection()
    lora: LoraSection = LoraSection()
    training: LocalTraining = LocalTraining()
    tasks: tuple[TaskSection, ...] = Field(min_length=1)
    policy: PolicySection
    aggregation: AggregationSection
    departure: DepartureSection
    admission: AdmissionSettings = AdmissionSettings()
    round: RoundSettings = RoundSettings()
    reward: RewardSettings = RewardSettings()
    budget: BudgetSettings = BudgetSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    checkpoint: CheckpointSettings = CheckpointSettings()
    faults: FaultSettings = FaultSettings()
    attack: AttackSettings = AttackSettings()
    defence: DefenceSettings = DefenceSettings()
    privacy: PrivacySettings = PrivacySettings()

    @field_validator("name")
    @classmethod
    def _can_name_a_folder(cls, name: str) -> str:
        if not name.isprintable() or set(name) & set("/\\") or not 0 < len(name) <= 100:
            raise ValueError("must be 1 to 100 printable characters without / and \\")
        return name

    @model_validator(mode="after")
    def _consistent(self) -> Experiment:
        names = [task.name for task in self.tasks]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ConfigError("two tasks have this name", where=f"tasks.{doubled[0]}", mend="rename one")
        check_devices(self.devices)
        policy = POLICIES.get(self.policy.component)
        policy.check(self.policy.options, self.lora.ranks, [device.name for device in self.devices])
        if self.defence.rule != "mean":
            self.defence.robust_rule().check(self.aggregation.options)
        unknown = sorted(set(self.budget.shares) - set(names))
        if unknown:
            raise ConfigError(
                "no such task", where=f"budget.shares.{unknown[0]}", mend=suggest(unknown[0], names)
            )
        return self

    def with_method(self, method: str) -> Experiment:
        """Return the same experiment under another method.

        Raises:
            ConfigError: No such method.
        """
        layer = method_values(method, where="method")
        raw = _merge(self.model_dump(mode="json"), layer)
        return Experiment.model_validate({**raw, "method": method})

    def budgets_j(self) -> dict[str, float]:
        """Return the joules each task may spend; infinite where no total is set."""
        return self.budget.split([task.name for task in self.tasks])


def to_toml(settings: Settings) -> str:
    """Return an experiment, or other settings, as the TOML text that loads to equal ones.

    Raises:
        ConfigError: A key is ``None``, which TOML has not, and what is loaded without it is something else.
    """
    values = settings.model_dump(mode="json")
    text = tomli_w.dumps(_without_none(values))
    again = type(settings).model_validate(tomllib.loads(text)).model_dump(mode="json")
    for key in sorted({*flat(again)} - {*flat(values)}):
        raise ConfigError("None cannot be written down", where=key, mend="give a value")
    return text


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    if isinstance(value, (list, tuple)):
        return [_without_none(v) for v in value]
    return value


def preset_names() -> list[str]:
    """Return the names of the presets that ship with fleetlora."""
    return sorted(name for name in _shipped() if not name.startswith("_"))


def preset_summaries() -> dict[str, str]:
    """Return what each preset is, by its name: the first line of its file."""
    folder = resources.files("fleetlora.presets")
    files = {name: folder.joinpath(f"{name}.toml") for name in preset_names()}
    return {
        name: file.read_text("utf-8").partition("\n")[0].removeprefix("# ") for name, file in files.items()
    }


def _shipped() -> set[str]:
    """Return the presets and, with a leading underscore, what they share."""
    folder = resources.files("fleetlora.presets")
    return {entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".toml")}


def load_experiment(
    source: str | Path | Mapping[str, Any],
    *,
    method: str | None = None,
    seed: int | None = None,
    overrides: Iterable[str] = (),
) -> Experiment:
    """Return the experiment that a preset, a file or a mapping describes.

    Values are laid on top of each other: the preset a file ``extends``, the file, the method, the overrides.

    Args:
        source: Name of a preset, path of a TOML file, or the values themselves.
        method: Name of a method; replaces the file's.
        seed: Replaces the file's seed.
        overrides: ``key=value`` each, dotted keys, TOML values; a task or device class is named by name
            or number.

    Raises:
        ConfigError: A key or value is wrong; names it and suggests the mend.
        InputError: No such preset or file, or not TOML.
    """
    file: str | None = None
    if isinstance(source, Mapping):
        raw = _inheriting(source)
    else:
        file, raw = _read(source)
    overrides = list(overrides)
    chosen = [text.partition("=")[2].strip(" '\"") for text in overrides if text.startswith("method=")]
    method = chosen[-1] if chosen else method
    own = method_values(str(raw.get("method", "fixed")), where="method")
    if method:
        raw = _merge(_merge(_components(own), raw), method_values(method, where="method"))
    else:
        raw = _merge(own, raw)
    raw = {**raw, "method": str(method or raw.get("method", "fixed"))}
    if seed is not None:
        raw["seed"] = seed
    raw = _overridden({"devices": _DEFAULT_FLEET, **raw}, overrides)
    raw.pop("extends", None)
    try:
        return Experiment.model_validate(raw)
    except ValidationError as error:
        raise explain(error, Experiment, file=file, values=raw) from None
    except ConfigError as error:
        where = f"{file}: {error.where}" if file and error.where else error.where
        raise ConfigError(error.problem, where=where, mend=error.mend) from None


#: What the ending of a data file says about its trace source.
_SOURCE_OF_SUFFIX = {
    ".csv": "table",
    ".tsv": "table",
    ".txt": "table",
    ".parquet": "table",
    ".xml": "sumo-fcd",
    ".sumocfg": "sumo",
}


def load_traces(source: str | Path, *, overrides: Iterable[str] = ()) -> TraceSection:
    """Return the ``traces`` section of a preset or TOML file, or one for a data file.

    Args:
        source: Name of a preset, a TOML file with a ``[traces]`` table, or a data file or folder.
        overrides: ``key=value`` each, keys of the section; ``source=NAME`` chooses the reader.

    Raises:
        ConfigError: A key or value is wrong, or it is not clear how to read the file.
        InputError: No such preset or file.
    """
    path = Path(source)
    data = path.is_dir() or (path.exists() and path.suffix != ".toml")
    below = _of_data(path) if data else _read(source)[1].get("traces", {})
    if not isinstance(below, Mapping):
        raise ConfigError("not a table", where=f"{source}: traces", mend="write [traces] above its keys")
    keys = [f"traces.{text.removeprefix('traces.')}" for text in overrides]
    raw = _overridden({"traces": below}, keys)["traces"]
    if data:
        raw = {"path": str(path), **raw}
    try:
        return TraceSection.model_validate(raw)
    except ValidationError as error:
        raise explain(error, TraceSection, ("traces",)) from None


def _of_data(path: Path) -> dict[str, Any]:
    """Return the trace source that a data file's name or content tells, if it does."""
    inner = Path(path.stem) if path.suffix == ".gz" else path
    if inner.suffix == ".parquet" and holds_tracks(path):
        return {"source": "tracks"}
    if inner.suffix in _SOURCE_OF_SUFFIX and not path.is_dir():
        return {"source": _SOURCE_OF_SUFFIX[inner.suffix]}
    return {}


def _read(source: str | Path) -> tuple[str | None, dict[str, Any]]:
    """Return the file's name, None for a preset, and its values over those it extends."""
    name = str(source)
    if name in _shipped():
        text = resources.files("fleetlora.presets").joinpath(f"{name}.toml").read_text("utf-8")
        raw = parse_toml(text, f"preset {name}")
        return None, _inheriting(raw)
    path = Path(source)
    if not path.exists():
        known = suggest(name, preset_names())
        if path.suffix or len(path.parts) > 1:
            raise InputError("no such file", where=name, mend=f"check the path, or name a preset; {known}")
        raise InputError(f"no preset or file {name!r}", mend=f"{known}; or give the path of a file")
    return name, _inheriting(read_toml(path)[1])


def _inheriting(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``raw`` over the preset it extends, less the options of components its own method replaces."""
    below = _extended(raw)
    if below and "method" in raw:
        theirs = method_values(str(below.get("method", "fixed")), where="method")
        mine = method_values(str(raw["method"]), where="method")
        below = _merge(_merge(_components(theirs), below), _components(mine))
    return _merge(below, raw)


def _extended(raw: Mapping[str, Any]) -> dict[str, Any]:
    parent = raw.get("extends")
    if parent is None:
        return {}
    if not isinstance(parent, str) or parent not in _shipped():
        raise ConfigError(f"no preset {parent!r}", where="extends", mend=suggest(str(parent), preset_names()))
    return _read(str(parent))[1]


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``above`` laid over ``below``; a table that names another component starts afresh."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        if isinstance(value, Mapping) and isinstance(under, Mapping):
            if _renamed(key, under, value):
                under = {name: under[name] for name in _EVERY_COMPONENT.get(key, ()) if name in under}
            merged[key] = _merge(under, value)
        else:
            merged[key] = value
    return merged


#: Options that all components of a section have; they stay where one is replaced by another.
_EVERY_COMPONENT = {"aggregation": ("bytes_per_param",)}


def _renamed(section: str, below: Mapping[str, Any], above: Mapping[str, Any]) -> bool:
    kind = next((kind for kind in _SECTIONS if kind.section == section), None)
    return kind is not None and kind.key in above and below.get(kind.key, kind.default) != above[kind.key]


#: What lies beneath a file without devices, so that an override can name a class of them.
_DEFAULT_FLEET = [device.model_dump(mode="json", exclude_none=True) for device in DEFAULT_DEVICES]
#: Keys of an override that name a component, or may.
_NAMING = {key for kind in _SECTIONS for key in (kind.section, f"{kind.section}.{kind.key}")}


def _overridden(raw: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Return ``raw`` under the overrides; those that name components come first, before their options."""
    for text in sorted(overrides, key=lambda text: text.partition("=")[0].strip() not in _NAMING):
        raw = with_override(raw, text)
    return raw


def _components(layer: Mapping[str, Any]) -> dict[str, Any]:
    """Return only which components ``layer`` names, so that a file's options stay with theirs."""
    return {
        kind.section: {kind.key: layer[kind.section][kind.key]}
        for kind in _SECTIONS
        if isinstance(layer.get(kind.section), Mapping) and kind.key in layer[kind.section]
    }


def with_override(raw: dict[str, Any], text: str) -> dict[str, Any]:
    """Return ``raw`` with one ``dotted.key=value`` set."""
    dotted, equals, literal = text.partition("=")
    path = dotted.strip().split(".")
    if not equals or not all(path):
        raise ConfigError(f"not key=value: {text!r}", where="--set", mend="write --set round.deadline_s=20")
    try:
        value: Any = parse_toml(f"value = {literal}", "--set")["value"]
    except ConfigError:
        value = literal
    return _merge(raw, _layer(raw, path, value, dotted.strip()))


def _layer(node: Any, path: list[str], value: Any, where: str) -> Any:
    """Return what sets the value at ``path`` when it is laid over ``node``."""
    if not path:
        return value
    head, rest = path[0], path[1:]
    if isinstance(node, (list, tuple)) and all(isinstance(item, Mapping) for item in node):
        names = [str(item.get("name", i)) for i, item in enumerate(node)]
        at = int(head) if head.isdigit() else names.index(head) if head in names else -1
        if not 0 <= at < len(node):
            raise ConfigError(f"no entry {head!r}", where=where, mend=suggest(head, names))
        change = _layer(node[at], rest, value, where)
        return [*node[:at], _merge(node[at], change) if rest else change, *node[at + 1 :]]
    if node is not None and not isinstance(node, Mapping):
        raise ConfigError(f"{head!r} stands below a plain value", where=where, mend="shorten the key")
    return {head: _layer((node or {}).get(head), rest, value, where)}
