"""How every command reads its options, and how help is set out: panels of plain text that fit the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from righttime.cli.choices import with_names
from righttime.cli.flags import spoken_by
from righttime.cli.output import say

__all__ = ["Command", "Commands", "Panels"]

Function = TypeVar("Function", bound=Callable[..., Any])
_TIMES = {2: "twice"}


class Command(TyperCommand):
    """A command that takes `--learning_rate` for `--learning-rate` and refuses an option that is given twice.

    Left to itself, the last one given would win, and the others would be lost in silence.
    """

    old_options: Mapping[str, str] = {}
    """Options by their earlier names, which are not in the help."""
    old_values: Mapping[str, Mapping[str, str]] = {}
    """By option, values by their earlier names."""

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
        try:
            return super().parse_args(ctx, spelled)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix("Value error, ")  # the words of what checks choices
            raise

    def invoke(self, ctx: Any) -> Any:
        """Run the command; what it says of settings names its own flags."""
        with spoken_by(ctx):
            return super().invoke(ctx)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments first, then options panel by panel."""
        panels: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                kind = "Arguments" if param.param_type_name == "argument" else "Options"
                panels.setdefault(getattr(param, "rich_help_panel", None) or kind, []).append(record)
        for title in sorted(panels, key=lambda title: title not in ("Arguments", "Options")):
            with formatter.section(title):
                formatter.write_dl(panels[title])

    def _spelled(self, ctx: Any, args: list[str]) -> Iterator[str]:
        """The words with our own options as they are called now; values, and all that follows `--`, as they are."""
        options: list[Any] = [param for param in self.get_params(ctx) if param.param_type_name == "option"]
        takes = {
            name: 0 if option.is_flag or option.count else option.nargs
            for option in options
            for name in (*option.opts, *option.secondary_opts)
        }
        values, option_now = 0, ""
        for place, word in enumerate(args):
            if values:
                values -= 1
                yield self._value(option_now, word)
                continue
            if word == "--":
                yield from args[place:]
                return
            name, equals, value = word.partition("=")
            if name not in takes:
                hyphens = name.replace("_", "-")
                hyphens = self.old_options.get(hyphens, hyphens)
                name = hyphens if hyphens in takes else name
            values, option_now = 0 if equals else takes.get(name, 0), name
            yield name + equals + self._value(name, value)

    def _value(self, option: str, value: str) -> str:
        return self.old_values.get(option, {}).get(value, value)


def _once(option: Any) -> bool:
    """Whether giving an option again would undo the first; asking for help twice does no harm."""
    return option.param_type_name == "option" and not (option.multiple or option.count or option.is_eager)


class Panels(TyperGroup):
    """The commands, panel by panel."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """A line for each command."""
        panels: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            if not command.hidden:
                panel = getattr(command, "rich_help_panel", None) or "Commands"
                panels.setdefault(panel, []).append((name.ljust(10), command.get_short_help_str()))
        for title, rows in panels.items():
            with formatter.section(title):
                formatter.write_dl(rows)


class Commands(typer.Typer):
    """An application all of whose commands are a `Command`."""

    def __call__(self, *args: Any, **settings: Any) -> Any:
        """Run it; the commands are built once a process."""
        return self._group(*args, **settings)

    @cached_property
    def _group(self) -> Any:
        return get_command(self)

    def command(
        self,
        name: str | None = None,
        *,
        old_options: Mapping[str, str] | None = None,
        old_values: Mapping[str, Mapping[str, str]] | None = None,
        **settings: Any,
    ) -> Callable[[Function], Function]:
        """Register a command, as `typer.Typer.command` does.

        Args:
            name: Its name; None takes the function's.
            old_options: Options by their earlier names, which work for one more release.
            old_values: By option, values by their earlier names.
            settings: As for `typer.Typer.command`; `rich_help_panel` is the panel of the help.
        """
        kind = settings.pop("cls", Command)
        own = {"old_options": old_options or {}, "old_values": old_values or {}}
        return super().command(name, **{"cls": type("Command", (kind,), own), **settings})

    def renamed(self, old: str, new: str, function: Callable[..., Any]) -> None:
        """Keep a command's old name for one release, out of the help; using it prints the new one on stderr."""

        class Renamed(Command):
            def invoke(self, ctx: Any) -> Any:
                say(f"note: `righttime {old}` is now `righttime {new}`.", err=True)
                return super().invoke(ctx)

        self.command(old, hidden=True, cls=Renamed)(function)
