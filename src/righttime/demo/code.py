"""Families about Python."""

from __future__ import annotations

import random

from righttime.demo.family import Family, Fields
from righttime.demo.words import NUMBER_WORDS, WORDS, words

__all__ = ["FAMILIES"]

_VARIABLES = words("total count price score size level width height points speed")


def python_output(rng: random.Random) -> Fields:
    """What an expression evaluates to."""
    word, numbers = rng.choice(WORDS), [rng.randrange(1, 30) for _ in range(rng.choice((3, 4)))]
    a, b = rng.randrange(20, 90), rng.randrange(2, 10)
    cut = rng.randrange(1, len(word))
    code, value = rng.choice(
        (
            (f"len('{word}') * {b}", len(word) * b),
            (f"'{word}'.upper()", word.upper()),
            (f"'{word}'[:{cut}]", word[:cut]),
            (f"'{word}'[{cut}:]", word[cut:]),
            (f"'{word}'[-1] + str({a})", word[-1] + str(a)),
            (f"sum({numbers})", sum(numbers)),
            (f"max({numbers}) - min({numbers})", max(numbers) - min(numbers)),
            (f"sorted({numbers})", sorted(numbers)),
            (f"[n * {b} for n in {numbers}]", [n * b for n in numbers]),
            (f"{numbers}[-1]", numbers[-1]),
            (f"{a} // {b}", a // b),
            (f"{a} % {b} == 0", a % b == 0),
        )
    )
    return {"code": code, "response": str(value)}


def write_function(rng: random.Random) -> Fields:
    """A function of one line from its description."""
    k = rng.randrange(2, 13)
    number = NUMBER_WORDS[k]
    name, argument, task, body = rng.choice(
        (
            (f"add_{number}", "n", f"adds {k} to its argument n", f"n + {k}"),
            (f"minus_{number}", "n", f"subtracts {k} from its argument n", f"n - {k}"),
            (f"times_{number}", "n", f"multiplies its argument n by {k}", f"n * {k}"),
            (f"over_{number}", "n", f"tells whether its argument n is greater than {k}", f"n > {k}"),
            (f"divides_by_{number}", "n", f"tells whether its argument n is divisible by {k}", f"n % {k} == 0"),
            (f"power_{number}", "n", f"raises its argument n to the power of {k}", f"n ** {k}"),
            (f"first_{number}", "text", f"returns the first {k} characters of the string text", f"text[:{k}]"),
            (f"last_{number}", "text", f"returns the last {k} characters of the string text", f"text[-{k}:]"),
            (f"repeat_{number}", "text", f"repeats the string text {k} times", f"text * {k}"),
            (f"longer_{number}", "text", f"tells whether text has more than {k} characters", f"len(text) > {k}"),
            (f"drop_{number}", "items", f"returns the list items without its first {k} entries", f"items[{k}:]"),
            (f"count_{number}", "items", f"counts how often {k} occurs in the list items", f"items.count({k})"),
            (f"has_{number}", "items", f"tells whether {k} is in the list items", f"{k} in items"),
        )
    )
    return {"name": name, "task": task, "response": f"def {name}({argument}): return {body}"}


def fix_syntax(rng: random.Random) -> Fields:
    """A line of Python with its one mistake put right."""
    name, word, a, b = rng.choice(_VARIABLES), rng.choice(WORDS), rng.randrange(2, 50), rng.randrange(2, 50)
    broken, fixed = rng.choice(
        (
            (f"print('{word}'", f"print('{word}')"),
            (f"print('{word})", f"print('{word}')"),
            (f"{name} = [{a}, {b}", f"{name} = [{a}, {b}]"),
            (f"{name} = ({a} + {b}) * 2)", f"{name} = ({a} + {b}) * 2"),
            (f"if {name} > {a} print({name})", f"if {name} > {a}: print({name})"),
            (f"if {name} = {a}: print('{word}')", f"if {name} == {a}: print('{word}')"),
            (f"for {name} in range({a}) print({name})", f"for {name} in range({a}): print({name})"),
            (f"while {name} < {a} {name} += 1", f"while {name} < {a}: {name} += 1"),
            (f"def {word}({name}) return {name} + {a}", f"def {word}({name}): return {name} + {a}"),
            (f"{name} = {{'{word}': {a}", f"{name} = {{'{word}': {a}}}"),
        )
    )
    return {"code": broken, "response": fixed}


FAMILIES = (
    Family(
        "python-output",
        "code",
        python_output,
        (
            "What does this Python expression evaluate to? {code}",
            "print({code})\n\nWhat is the output of this line of Python?",
            "I type `{code}` into the Python shell. What value do I get?",
            "Predict the result of the Python code {code}",
        ),
    ),
    Family(
        "write-function",
        "code",
        write_function,
        (
            "Write a one-line Python function {name} that {task}.",
            "Define {name} in Python. It {task}. One line is enough.",
            "I need a Python function called {name} which {task}.",
            "Python: code a function that {task}. Call it {name}.",
        ),
    ),
    Family(
        "fix-syntax",
        "code",
        fix_syntax,
        (
            "Fix the syntax error in this line of Python: {code}",
            "Python complains about invalid syntax here. Correct it.\n{code}",
            "{code}\n\nThis code does not run. Write it without the mistake.",
            "Find and repair the typing mistake in the Python code below.\n\n{code}",
        ),
    ),
)
