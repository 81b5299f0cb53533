"""How groups of commands are shown: each with its whole sentence, and what was probably meant.

No command stands here.
"""

from __future__ import annotations

import click


class Group(click.Group):
    """A group whose help cuts no sentence off, and that knows a command by nearly its name."""

    def sections(self, ctx: click.Context) -> dict[str, list[str]]:
        """Names of the commands under their headings, in the order in which they are shown."""
        return {"Commands": self.list_commands(ctx)}

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Click would cut each sentence to what fits into one line."""
        for heading, names in self.sections(ctx).items():
            found = [(name, self.get_command(ctx, name)) for name in names]
            rows = [
                (name, command.get_short_help_str(limit=400))
                for name, command in found
                if command is not None and not command.hidden
            ]
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Click knows only commands that have been imported."""
        known = self.list_commands(ctx)
        name = args[0]
        if not name.startswith("-") and name not in known and not ctx.resilient_parsing:
            # Imported when it is needed: a daemon that starts has no use for it.
            from difflib import get_close_matches

            close = get_close_matches(name, known, n=1)
            meant = f" Did you mean {close[0]!r}?" if close else ""
            ctx.fail(f"No such command {name!r}.{meant}")
        return super().resolve_command(ctx, args)
