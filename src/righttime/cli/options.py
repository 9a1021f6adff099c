"""How every command reads its options: each once, with hyphens or underscores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand

from righttime.cli.choices import with_names
from righttime.cli.flags import spoken_by

__all__ = ["Command", "Commands"]

Function = TypeVar("Function", bound=Callable[..., Any])
_TIMES = {2: "twice"}


class Command(TyperCommand):
    """A command that takes `--learning_rate` for `--learning-rate` and refuses an option that is given twice.

    Left to itself, the last one given would win, and the others would be lost in silence.
    """

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help; lists of names come from the registries, which only help takes the time to import."""
        for param in self.get_params(ctx):
            if getattr(param, "help", None):
                param.help = with_names(param.help)  # type: ignore[attr-defined]
        super().format_help(ctx, formatter)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words after the command's name.

        Raises:
            UsageError: If an option that is meant once is given more often; names it.
        """
        spelled = list(self._spelled(ctx, args))
        _, _, in_order = self.make_parser(ctx).parse_args(args=list(spelled))
        for option, times in Counter(in_order).items():
            if times > 1 and _once(option):
                often = _TIMES.get(times, f"{times} times")
                ctx.fail(f"{option.opts[0]} must be given once, got it {often}. Hint: leave out all but one.")
        return super().parse_args(ctx, spelled)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; what it says of settings names its own flags."""
        with spoken_by(ctx):
            return super().invoke(ctx)

    def _spelled(self, ctx: Any, args: list[str]) -> Iterator[str]:
        """The words with the hyphens of our own options; values, and all that follows `--`, as they are."""
        options: list[Any] = [param for param in self.get_params(ctx) if param.param_type_name == "option"]
        takes = {
            name: 0 if option.is_flag or option.count else option.nargs
            for option in options
            for name in (*option.opts, *option.secondary_opts)
        }
        values = 0
        for place, word in enumerate(args):
            if values:
                values -= 1
                yield word
                continue
            if word == "--":
                yield from args[place:]
                return
            name, equals, value = word.partition("=")
            if name not in takes and name.replace("_", "-") in takes:
                name = name.replace("_", "-")
            values = 0 if equals else takes.get(name, 0)
            yield name + equals + value


def _once(option: Any) -> bool:
    """Whether giving an option again would undo the first; asking for help twice does no harm."""
    return option.param_type_name == "option" and not (option.multiple or option.count or option.is_eager)


class Commands(typer.Typer):
    """An application all of whose commands are a `Command`."""

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Function], Function]:
        """Register a command, as `typer.Typer.command` does."""
        return super().command(name, **{"cls": Command, **settings})

    def renamed(self, old: str, new: str, function: Callable[..., Any]) -> None:
        """Keep a command's old name for one release, out of the help; using it prints the new one on stderr."""

        class Renamed(Command):
            def invoke(self, ctx: Any) -> Any:
                typer.echo(f"note: `righttime {old}` is now `righttime {new}`.", err=True)
                return super().invoke(ctx)

        self.command(old, hidden=True, cls=Renamed)(function)
