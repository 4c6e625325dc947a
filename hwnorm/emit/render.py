"""Rendering of the templates that lie in the top-level ``templates/`` folder."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hwnorm.emit.layout import commented, listed, remark, signature
from hwnorm.resources import resource


@cache
def _environment() -> Environment:
    # Jinja's own braces collide with Verilog's replication {{n{bit}}, ...}: values are ${...} here,
    # statements stand in <% %>, comments in <# #>.
    environment = Environment(
        loader=FileSystemLoader(resource("templates")),
        variable_start_string="${",
        variable_end_string="}",
        block_start_string="<%",
        block_end_string="%>",
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        autoescape=False,
    )
    environment.globals |= {
        "commented": commented,
        "remark": remark,
        "listed": listed,
        "signature": signature,
    }
    return environment


def render(template: str, context: dict[str, Any]) -> str:
    """The text of ``templates/<template>`` with ``context`` filled in; unknown names are errors."""
    return _environment().get_template(template).render(context)
