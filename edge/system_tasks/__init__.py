"""Built-in tasks with a side effect, run by this process under the same contract as handlers.

No control flow stands here: that is an operator's.
"""

from __future__ import annotations

from edge.system_tasks.executions import OtherExecutions
from edge.system_tasks.http import HttpCalls
from edge.system_tasks.http_poll import HttpPolls
from edge.system_tasks.query_processor import QueryProcessor
from edge.system_tasks.update_secret import UpdateSecret

__all__ = ["HttpCalls", "HttpPolls", "OtherExecutions", "QueryProcessor", "UpdateSecret"]
