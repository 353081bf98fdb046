"""Task sources, one file per kind; importing this package registers them all."""

from fleetlora.tasks.sources.clinc import Clinc150
from fleetlora.tasks.sources.hub import HfDataset
from fleetlora.tasks.sources.imagefolder import ImageFolder
from fleetlora.tasks.sources.npz import Npz
from fleetlora.tasks.sources.orange import Newsgroups20, OrangeText, Reuters8, Reuters52
from fleetlora.tasks.sources.textfile import TextFile

__all__ = [
    "Clinc150",
    "HfDataset",
    "ImageFolder",
    "Newsgroups20",
    "Npz",
    "OrangeText",
    "Reuters8",
    "Reuters52",
    "TextFile",
]
