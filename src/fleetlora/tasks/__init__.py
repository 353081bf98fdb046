"""Tasks: where their rows come from, how a backbone takes them, and how they spread over the vehicles."""

from fleetlora.tasks import sources
from fleetlora.tasks.batching import schedule, schedule_many
from fleetlora.tasks.encode import Encoder, Encoding, Labelled, encode_task, label_task
from fleetlora.tasks.examples import ImageExamples, TaskData, TextExamples
from fleetlora.tasks.partition import Partition
from fleetlora.tasks.raw import TASK_SOURCES, RawSplit, RawTask, TaskSource
from fleetlora.tasks.shards import Shards

__all__ = [
    "TASK_SOURCES",
    "Encoder",
    "Encoding",
    "ImageExamples",
    "Labelled",
    "Partition",
    "RawSplit",
    "RawTask",
    "Shards",
    "TaskData",
    "TaskSource",
    "TextExamples",
    "encode_task",
    "label_task",
    "schedule",
    "schedule_many",
    "sources",
]
