"""How jobs are carried out: in this process, or in a pool of others. They know no images."""

from imgbatch.executors.base import Control, Executor, JobT, ResultT, Task, raised

__all__ = ["Control", "Executor", "JobT", "ResultT", "Task", "raised"]
